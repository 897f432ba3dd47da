package tunnel

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// Migrate makes the table of the listeners that survive a restart.
func Migrate(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS tunnel (
		kind TEXT NOT NULL,  -- listen, forward
		key TEXT NOT NULL,   -- the protocol, or the address it listens on
		spec TEXT NOT NULL,  -- JSON: an Offer or a Forward
		PRIMARY KEY (kind, key)
	) WITHOUT ROWID`)
	if err != nil {
		return fmt.Errorf("tunnels: %w", err)
	}
	return nil
}

// keep records a listener and then has the owner register it. A row is there before anybody
// can use the listener, and is taken back when it cannot be registered.
func (t *Tunnels) keep(ctx context.Context, kind Kind, key string, spec any, ephemeral bool, add func(*registry) error) error {
	lasting := !ephemeral && t.db != nil
	if lasting {
		if err := t.putRow(ctx, kind, key, spec); err != nil {
			return err
		}
	}
	err := t.try(ctx, add)
	if err != nil && lasting {
		err = errors.Join(err, t.dropRow(context.WithoutCancel(ctx), kind, key))
	}
	return err
}

func (t *Tunnels) putRow(ctx context.Context, kind Kind, key string, spec any) error {
	doc, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("tunnel %s %s: %w", kind, key, err)
	}
	if _, err := t.db.ExecContext(ctx, `INSERT OR REPLACE INTO tunnel (kind, key, spec) VALUES (?, ?, ?)`, kind, key, string(doc)); err != nil {
		return fmt.Errorf("tunnel %s %s: %w", kind, key, err)
	}
	return nil
}

func (t *Tunnels) dropRow(ctx context.Context, kind Kind, key string) error {
	if t.db == nil {
		return nil
	}
	if _, err := t.db.ExecContext(ctx, `DELETE FROM tunnel WHERE kind = ? AND key = ?`, kind, key); err != nil {
		return fmt.Errorf("tunnel %s %s: %w", kind, key, err)
	}
	return nil
}

// stored is a row.
type stored struct {
	kind Kind
	key  string
	spec string
}

func (t *Tunnels) loadRows(ctx context.Context) (out []stored, err error) {
	if t.db == nil {
		return nil, nil
	}
	rows, err := t.db.QueryContext(ctx, `SELECT kind, key, spec FROM tunnel ORDER BY kind, key`)
	if err != nil {
		return nil, fmt.Errorf("tunnels: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s stored
		if err := rows.Scan(&s.kind, &s.key, &s.spec); err != nil {
			return nil, fmt.Errorf("tunnels: %w", err)
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// restore registers what the settings declare and what an earlier run left; it runs before
// the owner takes calls. What cannot be registered is logged and left where it was, since a
// port that is taken must not keep the node from starting.
func (t *Tunnels) restore(ctx context.Context, r *registry) error {
	for _, o := range t.opt.Offers {
		t.restored("settings", string(o.Protocol), t.restoreOffer(r, o, true))
	}
	for _, f := range t.opt.Forwards {
		t.restored("settings", f.Listen, t.restoreForward(ctx, r, f, true))
	}
	rows, err := t.loadRows(ctx)
	if err != nil {
		return err
	}
	for _, s := range rows {
		var o Offer
		var f Forward
		switch s.kind {
		case KindListen:
			if err = json.Unmarshal([]byte(s.spec), &o); err == nil {
				err = t.restoreOffer(r, o, false)
			}
		case KindForward:
			if err = json.Unmarshal([]byte(s.spec), &f); err == nil {
				err = t.restoreForward(ctx, r, f, false)
			}
		default:
			err = fmt.Errorf("kind %q is not known", s.kind)
		}
		t.restored("database", s.key, err)
	}
	return nil
}

func (t *Tunnels) restored(from, key string, err error) {
	if err != nil {
		t.log.Warn("tunnel left out", "from", from, "tunnel", key, "err", err)
	}
}

func (t *Tunnels) restoreOffer(r *registry, spec Offer, declared bool) error {
	o, err := newOffer(spec, declared)
	if err != nil {
		return err
	}
	if err := checkServed(spec.Protocol, t.host.Mux().Protocols()); err != nil {
		return err
	}
	return t.addOffer(r, o)
}

func (t *Tunnels) restoreForward(ctx context.Context, r *registry, spec Forward, declared bool) error {
	f, err := newForward(spec, declared)
	if err != nil {
		return err
	}
	if _, port, err := parseEndpoint(f.listen); err != nil || port == 0 {
		return fmt.Errorf("%w %s: a forward of the settings needs a port of its own", ErrAddress, f.listen)
	}
	if err := r.roomForForward(f.listen); err != nil {
		return err
	}
	port, err := t.bind(ctx, f)
	if err != nil {
		f.problem = err.Error()
		r.forwards[f.listen] = f
		t.log.Warn("tunnel port is taken; it is tried again every ten seconds", "listen", f.listen, "err", err)
		return nil
	}
	return t.addForward(r, f, port)
}
