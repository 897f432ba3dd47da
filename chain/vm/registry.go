package vm

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/actors"
	"github.com/filecoin-project/go-state-types/cbor"
	"github.com/filecoin-project/go-state-types/rt"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/exported"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// AnyVersion registers an actor that runs at every network version.
const AnyVersion actors.Version = -1

// Registry is the code of actors by code CID. It is not changed once a VM uses it.
type Registry struct {
	byCode map[cid.Cid]actorCode
}

// actorCode is one actor: its methods by number, nil where there is none.
type actorCode struct {
	version actors.Version
	methods []*method
}

// method is func(Runtime, *Params) Return for the Runtime of the actors' own version.
type method struct {
	fn     reflect.Value
	params reflect.Type // the struct, not the pointer
}

// NetworkActors is the code of the networks that lode runs: actors v8. It is made once and
// never changed.
var NetworkActors = sync.OnceValue(func() *Registry {
	var r Registry
	if err := r.Register(actors.Version8, exported.BuiltinActors()...); err != nil {
		panic(err) // the actors do not fit the frame: this program cannot work
	}
	return &r
})

// Register adds actors of a version of the actors library. They run only at the network
// versions that prescribe that actors version. An actor whose methods need more of the
// runtime than a VM offers is refused.
func (r *Registry) Register(v actors.Version, as ...rt.VMActor) error {
	if r.byCode == nil {
		r.byCode = make(map[cid.Cid]actorCode)
	}
	for _, a := range as {
		exports := a.Exports()
		code := actorCode{version: v, methods: make([]*method, len(exports))}
		for num, fn := range exports {
			if fn == nil {
				continue
			}
			m, err := newMethod(fn)
			if err != nil {
				return fmt.Errorf("actor %T, method %d: %w", a, num, err)
			}
			code.methods[num] = m
		}
		r.byCode[a.Code()] = code
	}
	return nil
}

var (
	frameType       = reflect.TypeFor[*frame]()
	unmarshalerType = reflect.TypeFor[cbor.Unmarshaler]()
)

func newMethod(fn any) (*method, error) {
	v := reflect.ValueOf(fn)
	t := v.Type()
	switch {
	case t.Kind() != reflect.Func || t.NumIn() != 2 || t.NumOut() != 1:
		return nil, fmt.Errorf("%s is not func(Runtime, *Params) Return", t)
	case t.In(0).Kind() != reflect.Interface || !frameType.Implements(t.In(0)):
		return nil, fmt.Errorf("%s asks for a runtime that is not offered", t)
	case t.In(1).Kind() != reflect.Pointer || !t.In(1).Implements(unmarshalerType):
		return nil, fmt.Errorf("%s has parameters that are no CBOR object", t)
	}
	return &method{fn: v, params: t.In(1).Elem()}, nil
}

// lookup finds the code that runs at an actors version.
func (r *Registry) lookup(code cid.Cid, v actors.Version) (actorCode, bool) {
	a, ok := r.byCode[code]
	return a, ok && (a.version == v || a.version == AnyVersion)
}

// method finds a method by its number.
func (a actorCode) method(n abi.MethodNum) (*method, bool) {
	if uint64(n) >= uint64(len(a.methods)) || a.methods[n] == nil {
		return nil, false
	}
	return a.methods[n], true
}

// decode reads parameters; bytes after them are ignored (spec chain.md d.5).
func (m *method) decode(params []byte) (reflect.Value, error) {
	p := reflect.New(m.params)
	u, ok := p.Interface().(cbor.Unmarshaler)
	if !ok {
		return p, fmt.Errorf("%s is no CBOR object", m.params)
	}
	return p, u.UnmarshalCBOR(bytes.NewReader(params))
}

// accountCode is the code CID of the account actor of a version of the actors library.
func accountCode(v actors.Version) (cid.Cid, error) {
	if v == actors.Version0 {
		v = 1 // the first release named itself so
	}
	return cid.V1Builder{Codec: cid.Raw, MhType: multihash.IDENTITY}.Sum(fmt.Appendf(nil, "fil/%d/account", v))
}

// isAccount tells whether code is an account actor of any version.
func isAccount(code cid.Cid) bool {
	if !code.Defined() || code.Prefix().MhType != multihash.IDENTITY {
		return false
	}
	d, err := multihash.Decode(code.Hash())
	if err != nil {
		return false
	}
	version, ok := strings.CutPrefix(string(d.Digest), "fil/")
	if !ok {
		return false
	}
	version, ok = strings.CutSuffix(version, "/account")
	return ok && len(version) == 1 && version[0] >= '1' && version[0] <= '8'
}
