package circuit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// graphText is a graph of 4 inputs with nodes given as JSON, and other fields changed.
func graphText(nodes string, output int, changes ...string) string {
	text := fmt.Sprintf(`{"format":"provery-graph-1","model":"%s","scale":8,"input_bits":12,"visibility":"public","input_shape":[1,4],"output_shape":[1,4],"nodes":[%s],"output":%d}`,
		strings.Repeat("ab", 32), nodes, output)
	return strings.NewReplacer(changes...).Replace(text)
}

const relu = `{"op":"relu","in":[0],"shape":[1,4]}`

func pooling(op, changes string, pairs ...string) string {
	text := fmt.Sprintf(`{"op":"%s","in":[0],"shape":[1,1,1,1],"channels":1,"kernel":[2,2],"strides":[1,1],"pads":[0,0,0,0],"dilations":[1,1],"size":[2,2]%s}`, op, changes)
	return strings.NewReplacer(pairs...).Replace(text)
}

// What is malformed or too large is refused, at once, by a message that names the node and its operation.
func TestRefused(t *testing.T) {
	dense := func(changes ...string) string {
		return strings.NewReplacer(changes...).Replace(`{"op":"dense","in":[0],"shape":[1,4],"inputs":4,"outputs":4,"weights":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16],"bias":[1,2,3,4]}`)
	}
	table := func(changes ...string) string {
		return strings.NewReplacer(changes...).Replace(`{"op":"table","in":[0],"shape":[1,4],"low":-8,"step":2,"values":[1,2,3]}`)
	}
	softmax := func(changes ...string) string {
		return strings.NewReplacer(changes...).Replace(`{"op":"softmax","in":[0],"shape":[1,4],"length":4,"table":{"step":2,"values":[1,2,3]}}`)
	}
	squares := make([]string, 8)
	for i := range squares {
		squares[i] = fmt.Sprintf(`{"op":"mul","in":[%d,%d],"shape":[1,4]}`, i, i)
	}
	for _, good := range []string{relu, dense(), table(), softmax(), strings.Join(squares[:3], ",")} {
		if _, err := Parse([]byte(graphText(good, 1))); err != nil {
			t.Error(err)
		}
	}
	for name, c := range map[string]struct{ text, want string }{
		"nothing":              {"", "JSON"},
		"no JSON":              {"{", "JSON"},
		"an array":             {"[]", "missing"},
		"a fraction":           {graphText(dense("[1,2,3,4]", "[1.5,2,3,4]"), 1), "JSON"},
		"an exponent":          {graphText(dense("[1,2,3,4]", "[1e3,2,3,4]"), 1), "JSON"},
		"a leading zero":       {graphText(dense("[1,2,3,4]", "[01,2,3,4]"), 1), "JSON"},
		"a negative zero":      {graphText(dense("[1,2,3,4]", "[-0,2,3,4]"), 1), "JSON"},
		"2^62":                 {graphText(dense("[1,2,3,4]", "[4611686018427387904,2,3,4]"), 1), "2^62"},
		"a long number":        {graphText(dense("[1,2,3,4]", "["+strings.Repeat("9", 400)+",2,3,4]"), 1), "2^62"},
		"true":                 {graphText(relu, 1, `"scale":8`, `"scale":true`), "JSON"},
		"null":                 {graphText(relu, 1, `"scale":8`, `"scale":null`), "JSON"},
		"an escape":            {graphText(relu, 1, `"public"`, `"publi\u0063"`), "JSON"},
		"a trailing byte":      {graphText(relu, 1) + "x", "JSON"},
		"a key twice":          {graphText(relu, 1, `"scale":8`, `"scale":8,"scale":9`), "twice"},
		"another case":         {graphText(relu, 1, `"scale"`, `"Scale"`), "scale is missing"},
		"deep":                 {strings.Repeat(`{"a":`, 4000), "each other"},
		"deep arrays":          {strings.Repeat(`[`, 4000), "JSON"},
		"an unknown field":     {graphText(relu, 1, `"scale":8`, `"scale":8,"x":1`), "unknown"},
		"another format":       {graphText(relu, 1, `graph-1`, `graph-2`), "format"},
		"another visibility":   {graphText(relu, 1, `"public"`, `"private"`), "visibility"},
		"no digest":            {graphText(relu, 1, `"ab`, `"AB`), "SHA-256"},
		"no scale":             {graphText(relu, 1, `"scale":8`, `"scale":0`), "scale"},
		"a large scale":        {graphText(relu, 1, `"scale":8`, `"scale":31`), "scale"},
		"many bits":            {graphText(relu, 1, `"input_bits":12`, `"input_bits":61`), "input_bits"},
		"output forward":       {graphText(relu, 2), "output"},
		"another output shape": {graphText(relu, 1, `"output_shape":[1,4]`, `"output_shape":[1,5]`), "output_shape"},
		"a huge shape":         {graphText(relu, 1, `"input_shape":[1,4]`, `"input_shape":[1048576,1048576,1048576,1048576]`), "input_shape"},
		"a shape of zero":      {graphText(relu, 1, `"input_shape":[1,4]`, `"input_shape":[0,4]`), "input_shape"},
		"a shape below zero":   {graphText(relu, 1, `"input_shape":[1,4]`, `"input_shape":[-1,-4]`), "input_shape"},
		"many dimensions":      {graphText(relu, 1, `"input_shape":[1,4]`, `"input_shape":[1,1,1,1,1,1,1,1,4]`), "input_shape"},
		"a forward reference":  {graphText(`{"op":"relu","in":[1],"shape":[1,4]}`, 1), "node 0 (relu)"},
		"a negative reference": {graphText(`{"op":"relu","in":[-1],"shape":[1,4]}`, 1), "node 0 (relu)"},
		"two tensors":          {graphText(`{"op":"relu","in":[0,0],"shape":[1,4]}`, 1), "node 0 (relu)"},
		"an unknown operation": {graphText(relu+`,{"op":"erf","in":[1],"shape":[1,4]}`, 1), "node 1 (erf): the operation is unknown"},
		"an unknown attribute": {graphText(`{"op":"relu","in":[0],"shape":[1,4],"slope":1}`, 1), "node 0 (relu)"},
		"another shape":        {graphText(`{"op":"relu","in":[0],"shape":[1,3]}`, 1), "node 0 (relu)"},
		"a nameless node":      {graphText(`{"in":[0],"shape":[1,4]}`, 1), "node 0"},
		"few weights":          {graphText(dense("[1,2,3,4,5,", "[1,2,3,4,"), 1), "node 0 (dense): weights"},
		"few biases":           {graphText(dense(`"bias":[1,`, `"bias":[`), 1), "node 0 (dense): bias"},
		"huge layers":          {graphText(dense(`"inputs":4`, `"inputs":4`, `"outputs":4`, `"outputs":1048576`), 1), "node 0 (dense)"},
		"huge inputs":          {graphText(dense(`"inputs":4`, `"inputs":4611686018427387903`), 1), "node 0 (dense): inputs"},
		"no multiple":          {graphText(dense(`"inputs":4`, `"inputs":3`), 1), "node 0 (dense)"},
		"zero outputs":         {graphText(dense(`"outputs":4`, `"outputs":0`), 1), "node 0 (dense): outputs"},
		"lengths":              {graphText(relu+`,{"op":"gather","in":[0],"shape":[2],"index":[0,1]},{"op":"add","in":[1,2],"shape":[1,4]}`, 1), "node 2 (add)"},
		"an index too large":   {graphText(`{"op":"gather","in":[0],"shape":[1,4],"index":[0,1,2,4]}`, 1), "node 0 (gather): index"},
		"an index below zero":  {graphText(`{"op":"gather","in":[0],"shape":[1,4],"index":[0,1,2,-1]}`, 1), "node 0 (gather): index"},
		"no index":             {graphText(`{"op":"gather","in":[0],"shape":[1,4],"index":[]}`, 1), "node 0 (gather)"},
		"three pieces":         {graphText(table("[1,2,3]", "[1,2,3,4]"), 1), "node 0 (table): values"},
		"no values":            {graphText(table("[1,2,3]", "[]"), 1), "node 0 (table): values"},
		"a large step":         {graphText(table(`"step":2`, `"step":41`), 1), "node 0 (table): step"},
		"a high value":         {graphText(table("[1,2,3]", "[1,2,17592186044416]"), 1), "node 0 (table): values"},
		"negative shares":      {graphText(softmax("[1,2,3]", "[1,2,-3]"), 1), "node 0 (softmax)"},
		"no largest share":     {graphText(softmax("[1,2,3]", "[0,2,3]"), 1), "node 0 (softmax)"},
		"a low":                {graphText(softmax(`"step":2`, `"step":2,"low":0`), 1), "node 0 (softmax): table"},
		"a table of text":      {graphText(softmax(`{"step":2,"values":[1,2,3]}`, `"exp"`), 1), "node 0 (softmax)"},
		"groups of three":      {graphText(softmax(`"length":4`, `"length":3`), 1), "node 0 (softmax)"},
		"more than 2^120":      {graphText(strings.Join(squares, ","), 8, `"input_bits":12`, `"input_bits":60`), "node 1 (mul): element 0"},
		"a square too many":    {graphText(strings.Join(squares, ","), 8), "(mul): element 0"},
		"a padded window":      {graphText(pooling("maxpool", "", `"pads":[0,0,0,0]`, `"pads":[2,0,0,0]`, `[1,1,1,1]`, `[1,1,3,1]`), 1), "window 0 covers padding only"},
		"a large kernel":       {graphText(pooling("maxpool", "", `"kernel":[2,2]`, `"kernel":[3,2]`), 1), "node 0 (maxpool): the kernel"},
		"a huge kernel":        {graphText(pooling("maxpool", "", `"kernel":[2,2]`, `"kernel":[65536,65536]`, `"pads":[0,0,0,0]`, `"pads":[65536,65536,0,0]`), 1), "node 0 (maxpool)"},
		"a huge pad":           {graphText(pooling("avgpool", `,"factors":[1]`, `"pads":[0,0,0,0]`, `"pads":[65536,65536,65536,65536]`), 1), "node 0 (avgpool)"},
		"another size":         {graphText(pooling("maxpool", "", `"size":[2,2]`, `"size":[2,3]`), 1), "node 0 (maxpool)"},
		"a stride of zero":     {graphText(pooling("maxpool", "", `"strides":[1,1]`, `"strides":[0,1]`), 1), "node 0 (maxpool): strides"},
		"three strides":        {graphText(pooling("maxpool", "", `"strides":[1,1]`, `"strides":[1,1,1]`), 1), "node 0 (maxpool): strides"},
		"no factors":           {graphText(pooling("avgpool", ""), 1), "node 0 (avgpool): factors"},
		"no groups":            {graphText(pooling("conv", `,"weights":[1,2,3,4],"bias":[1]`, `"channels":1`, `"channels":[1,1]`), 1), "node 0 (conv): groups"},
		"groups of others":     {graphText(pooling("conv", `,"groups":2,"weights":[1,2,3,4],"bias":[1]`, `"channels":1`, `"channels":[1,1]`), 1), "node 0 (conv): channels"},
		"a kernel short":       {graphText(pooling("conv", `,"groups":1,"weights":[1,2,3],"bias":[1]`, `"channels":1`, `"channels":[1,1]`), 1), "node 0 (conv): weights"},
	} {
		start := time.Now()
		_, err := Parse([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s: refused after %v", name, took)
		}
	}
}

// No text makes the reader fail in another way than by an error, and what it takes it can evaluate.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(vectors, "*.json"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(text) < 1500 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if g, err := Parse(text); err == nil && g.Inputs() < 100 && len(g.Nodes) < 10 {
			g.Evaluate(integers(random(g, 8)))
		}
	})
}
