package circuit

// window says which cells of an image each output of a convolution or pooling is made of. The image is in the order
// channel, row, column.
type window struct {
	channels, outputs, groups              int
	kernel, strides, dilations, size, made [2]int
	pads                                   [4]int // top, left, bottom, right
}

const maxExtent = 1 << 16

// readWindow reads a convolution or pooling and returns how many elements it makes.
func (n *Node) readWindow(f *fields, length int) int {
	w := &window{groups: 1}
	n.window = w
	if n.Op == "conv" {
		channels := f.within("channels", 2, 1, maxExtent)
		w.channels, w.outputs = channels[0], channels[1]
		w.groups = f.whole("groups", 1, maxExtent)
		if f.err == nil && (w.channels%w.groups != 0 || w.outputs%w.groups != 0) {
			f.fail("channels are %d and %d, groups %d divides not both", w.channels, w.outputs, w.groups)
		}
	} else {
		w.channels = f.whole("channels", 1, maxExtent)
		w.outputs, w.groups = w.channels, w.channels
	}
	pair := func(name string, low int64) [2]int { return [2]int(f.within(name, 2, low, maxExtent)) }
	w.kernel, w.strides, w.dilations, w.size = pair("kernel", 1), pair("strides", 1), pair("dilations", 1), pair("size", 1)
	w.pads = [4]int(f.within("pads", 4, 0, maxExtent))
	for axis := range 2 {
		// at most 2^33: no product here comes near to overflowing
		reach := w.dilations[axis]*(w.kernel[axis]-1) + 1
		padded := w.size[axis] + w.pads[axis] + w.pads[axis+2]
		if f.err == nil && reach > padded {
			f.fail("the kernel reaches over %d cells, the padded image has %d", reach, padded)
		}
		if f.err == nil {
			w.made[axis] = (padded-reach)/w.strides[axis] + 1
		}
	}
	if f.err == nil && w.channels*w.size[0]*w.size[1] != length {
		f.fail("%d channels of %d times %d cells, its tensor has %d elements", w.channels, w.size[0], w.size[1], length)
	}
	made := w.outputs * w.made[0] * w.made[1]
	if f.err == nil && made > maxElements {
		f.fail("it makes %d elements, a tensor has at most %d", made, maxElements)
	}
	if f.err == nil && w.perOutput() > maxWork {
		f.fail("a window has %d cells, at most %d are taken", w.perOutput(), maxWork)
	}
	if f.err != nil {
		return 0
	}
	if n.Length = made; n.work() > maxWork {
		f.fail("it takes about %d gates, at most %d are taken", n.work(), maxWork)
		return 0
	}
	switch n.Op {
	case "conv":
		n.Weights, n.Bias = f.exactly("weights", w.outputs*w.perOutput()), f.exactly("bias", w.outputs)
	case "avgpool":
		n.Weights = f.exactly("factors", w.made[0]*w.made[1])
	}
	if n.Op != "conv" && f.err == nil {
		for o := range w.made[0] * w.made[1] {
			if covered := w.cells(o, nil); len(covered) == 0 {
				f.fail("window %d covers padding only", o)
				break
			}
		}
	}
	return made
}

// perOutput is how many cells a window has, those beyond the image included.
func (w *window) perOutput() int { return w.channels / w.groups * w.kernel[0] * w.kernel[1] }

// cell is one that a window covers: its place in the tensor, and its number in the window.
type cell struct{ at, number int }

// cells appends those of the image that output o's window covers.
func (w *window) cells(o int, out []cell) []cell {
	plane := w.made[0] * w.made[1]
	channel, row, column := o/plane, o%plane/w.made[1], o%w.made[1]
	depth := w.channels / w.groups
	first := channel / (w.outputs / w.groups) * depth
	for c := range depth {
		for i := range w.kernel[0] {
			y := row*w.strides[0] - w.pads[0] + i*w.dilations[0]
			if y < 0 || y >= w.size[0] {
				continue
			}
			for j := range w.kernel[1] {
				x := column*w.strides[1] - w.pads[1] + j*w.dilations[1]
				if x >= 0 && x < w.size[1] {
					out = append(out, cell{((first+c)*w.size[0]+y)*w.size[1] + x, (c*w.kernel[0]+i)*w.kernel[1] + j})
				}
			}
		}
	}
	return out
}
