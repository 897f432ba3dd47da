// Package repo owns a node's folder: its layout, its lock, its version, its settings, and the
// one database that the parts share.
//
//	version config.toml network.toml genesis.car repo.lock api token
//	keystore/ blocks/ staging/ chain/ sectors/{unsealed,sealed,cache}/ lode.db
//
// Init makes a repo all at once or not at all. Open takes the lock, so one process uses a
// repo at a time; Endpoint reads how to reach that process without the lock. A repo that is
// damaged is refused with what to do about it, never mended behind the owner's back.
//
// What lies inside keystore, chain, sectors and the tables of lode.db belongs to other
// packages. Nothing here runs. Read init.go, then repo.go.
package repo
