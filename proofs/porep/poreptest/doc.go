// Package poreptest seals small sectors in memory, for tests of what is proved about them.
// Only tests import it; what it returns is sealed for real, by the package porep.
package poreptest
