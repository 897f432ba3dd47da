// Command gen writes proxy_gen.go of package api: for each method of the interfaces a field
// that holds its function, with the permission as tag, and a method that calls the field. It
// writes docs/api.md, the list of methods for people, too.
package main
