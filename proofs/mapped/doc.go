// Package mapped gives a file as memory, which the system reads in when it is touched and
// drops when it needs the room. Sealing reads layers so, in single nodes.
//
// It owns no file: the caller opens and closes it. Where the system cannot map files, Map is
// errors.ErrUnsupported. Read mapped_unix.go.
package mapped
