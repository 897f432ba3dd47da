package repo

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/filecoin-project/go-address"
	"github.com/ipfs/go-cid"
	ma "github.com/multiformats/go-multiaddr"
)

// ErrConfig: the settings do not hold. The text names file, line and key.
var ErrConfig = errors.New("settings")

// settingsLimit bounds config.toml in bytes.
const settingsLimit = 1 << 20

// envPrefix begins the names of variables that override settings: LODE_<SECTION>_<KEY>.
const envPrefix = "LODE_"

// keyError is a setting that does not hold.
type keyError struct {
	key string // Section.Key
	err error
}

func (e *keyError) Error() string { return e.key + ": " + e.err.Error() }
func (e *keyError) Unwrap() error { return e.err }

func badKey(key, format string, args ...any) error {
	return &keyError{key, fmt.Errorf(format, args...)}
}

// LoadConfig reads a config.toml over the defaults and lets env override it.
func LoadConfig(path string, env []string) (Config, error) {
	b, err := readSmall(path, settingsLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("%w: %w; put the file back, an empty one means the defaults", ErrCorrupt, err)
	}
	if err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrConfig, explain(err))
	}
	c, err := ParseConfig(b)
	if err != nil {
		return Config{}, fmt.Errorf("%w: %s: %w", ErrConfig, path, err)
	}
	if err := c.override(env); err != nil {
		return Config{}, fmt.Errorf("%w: environment: %w", ErrConfig, err)
	}
	return c, nil
}

// ParseConfig reads settings over the defaults. Unknown keys are refused, and every error
// names the line.
func ParseConfig(b []byte) (Config, error) {
	c := DefaultConfig()
	md, err := toml.Decode(string(b), &c)
	if err != nil {
		return Config{}, err // names the line itself
	}
	if un := md.Undecoded(); len(un) > 0 {
		return Config{}, fmt.Errorf("line %d: there is no setting %q; lode config default lists all", lineOf(b, un[0]), un[0])
	}
	if err := c.Check(); err != nil {
		var k *keyError
		if errors.As(err, &k) {
			if line := lineOf(b, strings.Split(k.key, ".")); line > 0 {
				return Config{}, fmt.Errorf("line %d: %w", line, err)
			}
		}
		return Config{}, err
	}
	return c, nil
}

// Encode writes the settings as config.toml.
func (c Config) Encode() ([]byte, error) {
	var buf bytes.Buffer
	enc := toml.NewEncoder(&buf)
	enc.Indent = ""
	if err := enc.Encode(c); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// lineOf finds the line of a key, 0 when it is nowhere. Tables of lode's settings are one
// level deep.
func lineOf(text []byte, key []string) int {
	var table []string
	for i, l := range strings.Split(string(text), "\n") {
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, "[") {
			name, _, _ := strings.Cut(strings.Trim(l, "[ "), "]")
			table = splitKey(name)
			if sameKey(table, key) {
				return i + 1
			}
			continue
		}
		name, _, ok := strings.Cut(l, "=")
		if ok && sameKey(append(table[:len(table):len(table)], splitKey(name)...), key) {
			return i + 1
		}
	}
	return 0
}

func splitKey(s string) []string {
	parts := strings.Split(s, ".")
	for i := range parts {
		parts[i] = strings.Trim(strings.TrimSpace(parts[i]), `"'`)
	}
	return parts
}

func sameKey(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !strings.EqualFold(a[i], b[i]) {
			return false
		}
	}
	return true
}

// Check tells whether the settings can work.
func (c Config) Check() error {
	if _, err := ma.NewMultiaddr(c.API.ListenAddress); c.API.ListenAddress != "" && err != nil {
		return badKey("API.ListenAddress", "%q is not a multiaddr such as /ip4/127.0.0.1/tcp/1234/http: %w", c.API.ListenAddress, err)
	}
	if c.API.MaxRequestBytes < 1<<10 {
		return badKey("API.MaxRequestBytes", "%d is less than 1024", c.API.MaxRequestBytes)
	}
	for _, o := range c.API.AllowedOrigins {
		if u, err := url.Parse(o); o != "*" && (err != nil || u.Scheme == "" || u.Host == "") {
			return badKey("API.AllowedOrigins", "%q is not an origin such as https://wallet.example", o)
		}
	}
	if err := c.checkAddresses(); err != nil {
		return err
	}
	if l := c.Libp2p; l.ConnMgrLow < 0 || l.ConnMgrHigh < l.ConnMgrLow {
		return badKey("Libp2p.ConnMgrHigh", "%d is below ConnMgrLow, which is %d", l.ConnMgrHigh, l.ConnMgrLow)
	}
	switch c.Libp2p.DHT {
	case "auto", "server", "client", "off":
	default:
		return badKey("Libp2p.DHT", "%q is not auto, server, client or off", c.Libp2p.DHT)
	}
	switch c.Logging.Level {
	case "debug", "info", "warn", "error":
	default:
		return badKey("Logging.Level", "%q is not debug, info, warn or error", c.Logging.Level)
	}
	switch c.Logging.Format {
	case "text", "json":
	default:
		return badKey("Logging.Format", "%q is not text or json", c.Logging.Format)
	}
	if f := c.Fees.DefaultMaxFee; f.Int == nil || f.Sign() <= 0 {
		return badKey("Fees.DefaultMaxFee", "no message can be sent with a limit of %s", f)
	}
	if m := c.Mining; m.Miner != "" {
		if a, err := address.NewFromString(m.Miner); err != nil || a.Protocol() != address.ID {
			return badKey("Mining.Miner", "%q is not the ID address of a miner, such as t01000", m.Miner)
		}
	} else if m.Enabled {
		return badKey("Mining.Miner", "mining is enabled without the address of a miner")
	}
	for _, p := range c.Dealmaking.PieceCidBlocklist {
		if _, err := cid.Decode(p); err != nil {
			return badKey("Dealmaking.PieceCidBlocklist", "%q is not a CID: %w", p, err)
		}
	}
	if l := c.Retrieval.ListenAddress; l != "" {
		if _, _, err := net.SplitHostPort(l); err != nil {
			return badKey("Retrieval.ListenAddress", "%q is not host:port: %w", l, err)
		}
	}
	if p := c.Retrieval.PublicURL; p != "" {
		if u, err := url.Parse(p); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return badKey("Retrieval.PublicURL", "%q is not an http or https URL", p)
		} else if u.Path != "" && u.Path != "/" {
			return badKey("Retrieval.PublicURL", "%q has a path; peers are told a host and a port alone", p)
		}
	}
	return c.checkNumbers()
}

// checkAddresses reads every multiaddr about peers.
func (c Config) checkAddresses() error {
	l := c.Libp2p
	for key, list := range map[string][]string{
		"ListenAddresses": l.ListenAddresses, "AnnounceAddresses": l.AnnounceAddresses, "NoAnnounceAddresses": l.NoAnnounceAddresses,
	} {
		for _, a := range list {
			if _, err := ma.NewMultiaddr(a); err != nil {
				return badKey("Libp2p."+key, "%q is not a multiaddr such as /ip4/0.0.0.0/tcp/4001: %w", a, err)
			}
		}
	}
	named := map[string][]string{"Libp2p.Bootstrap": l.Bootstrap, "Libp2p.Relays": l.Relays}
	if t := c.Heartbeat.BeatTarget; t != "" {
		named["Heartbeat.BeatTarget"] = []string{t}
	}
	for key, list := range named {
		for _, a := range list {
			m, err := ma.NewMultiaddr(a)
			if err == nil {
				_, err = m.ValueForProtocol(ma.P_P2P)
			}
			if err != nil {
				return badKey(key, "%q is not a multiaddr that ends with /p2p/ and a peer id: %w", a, err)
			}
		}
	}
	return nil
}

// checkNumbers refuses negative numbers wherever they stand.
func (c Config) checkNumbers() error {
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		for j := range v.Field(i).NumField() {
			if f := v.Field(i).Field(j); f.CanInt() && f.Int() < 0 {
				return badKey(v.Type().Field(i).Name+"."+v.Field(i).Type().Field(j).Name, "%v is negative", f.Interface())
			}
		}
	}
	return nil
}

// override sets what env says about known sections. Other variables of lode (LODE_PATH, …)
// name no section and are left alone.
func (c *Config) override(env []string) error {
	v := reflect.ValueOf(c).Elem()
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		rest, ok := strings.CutPrefix(name, envPrefix)
		if !ok {
			continue
		}
		section, key, _ := strings.Cut(rest, "_")
		s := fieldFold(v, section)
		if !s.IsValid() || name == "LODE_API_INFO" {
			continue
		}
		f := fieldFold(s, key)
		if !f.IsValid() {
			return fmt.Errorf("%s names no setting of [%s]", name, section)
		}
		if err := setText(f, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return c.Check()
}

func fieldFold(v reflect.Value, name string) reflect.Value {
	return v.FieldByNameFunc(func(f string) bool { return strings.EqualFold(f, name) })
}

// setText sets a setting from text; lists are separated by commas.
func setText(f reflect.Value, text string) error {
	if u, ok := f.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	if _, ok := f.Interface().(time.Duration); ok {
		d, err := time.ParseDuration(text)
		f.SetInt(int64(d))
		return err
	}
	switch f.Kind() {
	case reflect.String:
		f.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		f.SetBool(b)
		return err
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		f.SetInt(n)
		return err
	case reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, 64)
		f.SetUint(n)
		return err
	case reflect.Slice:
		list := []string{}
		for p := range strings.SplitSeq(text, ",") {
			if p = strings.TrimSpace(p); p != "" {
				list = append(list, p)
			}
		}
		f.Set(reflect.ValueOf(list))
	default:
		return fmt.Errorf("a %s cannot be set from the environment", f.Type())
	}
	return nil
}
