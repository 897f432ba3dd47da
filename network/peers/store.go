package peers

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Store is a Memory of rows in SQLite. Times are unix seconds.
type Store struct{ db *sql.DB }

var _ Memory = (*Store)(nil)

// OpenStore makes the tables.
func OpenStore(ctx context.Context, db *sql.DB) (*Store, error) {
	if _, err := db.ExecContext(ctx, `
CREATE TABLE IF NOT EXISTS peer_seen (peer TEXT PRIMARY KEY, addrs TEXT NOT NULL, fails INTEGER NOT NULL, next INTEGER NOT NULL,
  good INTEGER NOT NULL, score REAL NOT NULL, scored INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS peer_ban (peer TEXT NOT NULL, net TEXT NOT NULL, until INTEGER NOT NULL, reason TEXT NOT NULL,
  strikes INTEGER NOT NULL, PRIMARY KEY (peer, net));
CREATE TABLE IF NOT EXISTS peer_bootstrap (peer TEXT PRIMARY KEY, addrs TEXT NOT NULL, removed INTEGER NOT NULL);`); err != nil {
		return nil, fmt.Errorf("tables of the peers: %w", err)
	}
	return &Store{db}, nil
}

// Load implements Memory.
func (s *Store) Load(ctx context.Context) (Saved, error) {
	var out Saved
	err := errors.Join(
		s.rows(ctx, "SELECT peer, addrs, fails, next, good, score, scored FROM peer_seen", func(r *sql.Rows) error {
			var x SavedPeer
			var id, addrs string
			var next, good, scored int64
			if err := r.Scan(&id, &addrs, &x.Fails, &next, &good, &x.Score, &scored); err != nil {
				return err
			}
			x.Next, x.Good, x.Scored = moment(next), moment(good), moment(scored)
			var ok bool
			if x.Info, ok = infoOf(id, addrs); ok {
				out.Peers = append(out.Peers, x)
			}
			return nil
		}),
		s.rows(ctx, "SELECT peer, net, until, reason, strikes FROM peer_ban", func(r *sql.Rows) error {
			var x Ban
			var id, net string
			var until int64
			if err := r.Scan(&id, &net, &until, &x.Reason, &x.Strikes); err != nil {
				return err
			}
			x.Until = moment(until)
			var err error
			if net != "" {
				x.Net, err = netip.ParsePrefix(net)
			} else {
				x.Peer, err = peer.Decode(id)
			}
			if err == nil { // a damaged row is forgotten
				out.Bans = append(out.Bans, x)
			}
			return nil
		}),
		s.rows(ctx, "SELECT peer, addrs, removed FROM peer_bootstrap", func(r *sql.Rows) error {
			var x SavedEdit
			var id, addrs string
			if err := r.Scan(&id, &addrs, &x.Removed); err != nil {
				return err
			}
			var ok bool
			if x.Info, ok = infoOf(id, addrs); ok {
				out.Edits = append(out.Edits, x)
			}
			return nil
		}),
	)
	return out, err
}

func (s *Store) rows(ctx context.Context, query string, each func(*sql.Rows) error) error {
	r, err := s.db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	for r.Next() {
		if err := each(r); err != nil {
			return errors.Join(err, r.Close())
		}
	}
	return errors.Join(r.Err(), r.Close())
}

// Save implements Memory.
func (s *Store) Save(ctx context.Context, all Saved) (err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("save the peers: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("save the peers: %w", errors.Join(err, tx.Rollback()))
		}
	}()
	if _, err := tx.ExecContext(ctx, "DELETE FROM peer_seen; DELETE FROM peer_ban; DELETE FROM peer_bootstrap;"); err != nil {
		return err
	}
	for _, x := range all.Peers {
		if _, err := tx.ExecContext(ctx, "INSERT INTO peer_seen VALUES (?, ?, ?, ?, ?, ?, ?)", x.Info.ID.String(), addrsText(x.Info),
			x.Fails, seconds(x.Next), seconds(x.Good), x.Score, seconds(x.Scored)); err != nil {
			return err
		}
	}
	for _, x := range all.Bans {
		id, net := x.Peer.String(), ""
		if x.Net.IsValid() {
			id, net = "", x.Net.String()
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO peer_ban VALUES (?, ?, ?, ?, ?)", id, net, seconds(x.Until), string(x.Reason), x.Strikes); err != nil {
			return err
		}
	}
	for _, x := range all.Edits {
		if _, err := tx.ExecContext(ctx, "INSERT INTO peer_bootstrap VALUES (?, ?, ?)", x.Info.ID.String(), addrsText(x.Info), x.Removed); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// addrsText is a list of addresses as JSON.
func addrsText(info peer.AddrInfo) string {
	list := make([]string, len(info.Addrs))
	for i, a := range info.Addrs {
		list[i] = a.String()
	}
	b, err := json.Marshal(list)
	if err != nil {
		return "[]" // texts can always be written
	}
	return string(b)
}

// infoOf reads a row; a damaged one is forgotten.
func infoOf(id, addrs string) (peer.AddrInfo, bool) {
	p, err := peer.Decode(id)
	if err != nil {
		return peer.AddrInfo{}, false
	}
	var list []string
	if json.Unmarshal([]byte(addrs), &list) != nil {
		return peer.AddrInfo{}, false
	}
	info := peer.AddrInfo{ID: p}
	for _, t := range list {
		if a, err := ma.NewMultiaddr(t); err == nil {
			info.Addrs = append(info.Addrs, a)
		}
	}
	return info, true
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func moment(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0)
}
