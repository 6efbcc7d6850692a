package circuit

import (
	"fmt"
	"strconv"
)

// value is a JSON value in the forms that a graph has: object, array of integers, array of objects, integer or string.
type value struct {
	fields  map[string]*value
	numbers []int64
	items   []*value
	number  int64
	text    string
	kind    kind
}

type kind string

const (
	isObject  kind = "an object"
	isNumbers kind = "an array of integers"
	isItems   kind = "an array of objects"
	isNumber  kind = "an integer"
	isText    kind = "a string"
)

// maxDepth is how deep a graph's objects and arrays lie in each other at most: graph, nodes, node, table, values.
const maxDepth = 6

// scanner reads JSON strictly: keys once and in their exact form, integers in their one form, strings without escapes.
// Two readers of a document that is accepted cannot see different things in it.
type scanner struct {
	text    []byte
	at      int
	numbers int
}

func (s *scanner) fail(format string, arguments ...any) error {
	return fmt.Errorf("byte %d: %s", s.at, fmt.Sprintf(format, arguments...))
}

// next skips white space and returns the byte there, 0 at the end.
func (s *scanner) next() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\n', '\t', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) expect(c byte) error {
	if s.next() != c {
		return s.fail("expected %q", c)
	}
	s.at++
	return nil
}

// document reads the one value that the text consists of.
func (s *scanner) document() (*value, error) {
	v, err := s.value(0)
	if err == nil && (s.next() != 0 || s.at < len(s.text)) {
		err = s.fail("something follows the document")
	}
	return v, err
}

func (s *scanner) value(depth int) (*value, error) {
	if depth > maxDepth {
		return nil, s.fail("more than %d objects and arrays in each other", maxDepth)
	}
	switch c := s.next(); {
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.array(depth)
	case c == '"':
		text, err := s.string()
		return &value{kind: isText, text: text}, err
	case c == '-' || c >= '0' && c <= '9':
		number, err := s.integer()
		return &value{kind: isNumber, number: number}, err
	}
	return nil, s.fail("expected an object, an array, a string or an integer")
}

func (s *scanner) object(depth int) (*value, error) {
	out := &value{kind: isObject, fields: map[string]*value{}}
	s.at++
	if s.next() == '}' {
		s.at++
		return out, nil
	}
	for {
		if s.next() != '"' {
			return nil, s.fail("expected a key")
		}
		key, err := s.string()
		if err != nil {
			return nil, err
		}
		if _, twice := out.fields[key]; twice {
			return nil, s.fail("key %q is there twice", key)
		}
		if err := s.expect(':'); err != nil {
			return nil, err
		}
		if out.fields[key], err = s.value(depth + 1); err != nil {
			return nil, err
		}
		if s.next() == ',' {
			s.at++
			continue
		}
		return out, s.expect('}')
	}
}

func (s *scanner) array(depth int) (*value, error) {
	s.at++
	out := &value{kind: isNumbers}
	if s.next() == ']' {
		s.at++
		return out, nil
	}
	if s.next() == '{' {
		out.kind = isItems
	}
	for {
		if out.kind == isItems {
			if len(out.items) == maxNodes {
				return nil, s.fail("more than %d nodes", maxNodes)
			}
			item, err := s.value(depth + 1)
			if err != nil {
				return nil, err
			}
			if item.kind != isObject {
				return nil, s.fail("expected an object")
			}
			out.items = append(out.items, item)
		} else {
			if s.numbers++; s.numbers > maxConstants {
				return nil, s.fail("more than %d numbers", maxConstants)
			}
			s.next()
			number, err := s.integer()
			if err != nil {
				return nil, err
			}
			out.numbers = append(out.numbers, number)
		}
		if s.next() == ',' {
			s.at++
			continue
		}
		return out, s.expect(']')
	}
}

// string reads one of at most 80 printable ASCII characters other than quotes and backslashes.
func (s *scanner) string() (string, error) {
	start := s.at + 1
	for end := start; end < len(s.text) && end-start <= 80; end++ {
		c := s.text[end]
		if c == '"' {
			s.at = end + 1
			return string(s.text[start:end]), nil
		}
		if c < ' ' || c > '~' || c == '\\' {
			break
		}
	}
	return "", s.fail("expected a string of at most 80 printable ASCII characters without escapes")
}

// integer reads one below 2^62 in magnitude, without leading zeros, fraction or exponent.
func (s *scanner) integer() (int64, error) {
	start := s.at
	end := start
	if end < len(s.text) && s.text[end] == '-' {
		end++
	}
	first := end
	for end < len(s.text) && end-start <= 20 && s.text[end] >= '0' && s.text[end] <= '9' {
		end++
	}
	number, err := strconv.ParseInt(string(s.text[start:end]), 10, 64)
	if err != nil || number <= -maxConstant || number >= maxConstant || s.text[first] == '0' && end-start > 1 {
		return 0, s.fail("expected an integer below 2^62 in magnitude, in its shortest form")
	}
	if end < len(s.text) {
		switch s.text[end] {
		case '.', 'e', 'E':
			return 0, s.fail("expected an integer, not a fraction")
		}
	}
	s.at = end
	return number, nil
}
