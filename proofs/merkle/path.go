package merkle

// Path leads from a leaf to its root.
type Path struct {
	Leaf     Node
	Elements []Element // from the leaf up
}

// Element is one step of a path: the other children of the same parent, in order, and the
// place among them of the child the path comes from.
type Element struct {
	Siblings []Node
	Position uint8
}
