package offline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"go.uber.org/goleak"

	"github.com/lodenet/lode/proofs/insecure"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/post"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(sharedDir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}))
}

var now = func() time.Time { return time.Unix(1, 0) }

func payload(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

func options() Options {
	return Options{Proof: abi.RegisteredSealProof_StackedDrg2KiBV1_1, Miner: 1000, Number: 5, Ticket: Bytes{9}, Now: now}
}

func seal(t testing.TB, dir string, data []byte) *Sector {
	t.Helper()
	s, err := Seal(context.Background(), dir, bytes.NewReader(data), int64(len(data)), options())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shared is one sealed sector for tests that leave it as it is; TestMain removes its folder.
var (
	sharedDir string
	shared    = sync.OnceValue(func() (err error) {
		if sharedDir, err = os.MkdirTemp("", "lode-offline-"); err != nil {
			return err
		}
		data := payload(1500)
		_, err = Seal(context.Background(), sharedDir, bytes.NewReader(data), int64(len(data)), options())
		return err
	})
)

func sealedSector(t testing.TB) *Sector {
	t.Helper()
	if err := shared(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(sharedDir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealAndUnseal(t *testing.T) {
	for _, n := range []int{1, 127, 128, 1500, 2032} {
		data := payload(n)
		dir := filepath.Join(t.TempDir(), "new", "folder")
		var steps []string
		o := options()
		o.Progress = func(step string, done, total int64) {
			if len(steps) == 0 || steps[len(steps)-1] != step {
				steps = append(steps, step)
			}
			if done > total {
				t.Errorf("%s: %d of %d", step, done, total)
			}
		}
		made, err := Seal(context.Background(), dir, bytes.NewReader(append(bytes.Clone(data), "more that is not read"...)), int64(n), o)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(steps, []string{"data", "labels", "trees"}) {
			t.Errorf("got steps %v", steps)
		}
		s, err := Open(dir)
		if err != nil || !reflect.DeepEqual(s, made) {
			t.Fatalf("sector.json has %+v, %v, want %+v", s, err, made)
		}
		for _, labels := range []bool{true, false} {
			if !labels {
				if err := os.Remove(filepath.Join(dir, porep.LayerFile(2))); err != nil {
					t.Fatal(err)
				}
			}
			for _, r := range [][2]int{{0, n}, {0, 1}, {n - 1, 1}, {n / 3, n / 2}, {n, 0}} {
				var out bytes.Buffer
				if err := s.Unseal(context.Background(), &out, int64(r[0]), int64(r[1])); err != nil || !bytes.Equal(out.Bytes(), data[r[0]:r[0]+r[1]]) {
					t.Errorf("%d bytes, labels %v: %d from %d: got %d bytes, %v", n, labels, r[1], r[0], out.Len(), err)
				}
			}
		}
		left, err := filepath.Glob(filepath.Join(dir, "*"+temp))
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	try := func(dir string, size int64, o Options) error {
		_, err := Seal(ctx, dir, bytes.NewReader(payload(2033)), size, o)
		return err
	}
	if err := try(dir, 2033, options()); err == nil || !strings.Contains(err.Error(), "2032") {
		t.Errorf("too large: got %v", err)
	}
	if err := try(dir, 0, options()); err == nil {
		t.Error("nothing was sealed")
	}
	bad := options()
	bad.Proof = 99
	if err := try(dir, 5, bad); err == nil {
		t.Error("an unknown proof was taken")
	}
	if _, err := Seal(ctx, dir, strings.NewReader("short"), 6, options()); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that ends early: got %v", err)
	}
	if err := try(dir, 5, options()); err != nil {
		t.Fatalf("after all of that: %v", err)
	}
	if err := try(dir, 5, options()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second time: got %v", err)
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrNotSealed) {
		t.Errorf("an empty folder: got %v", err)
	}
	for name, text := range map[string]string{"cut": "{", "no payload": "{}", "not hex": `{"ticket": "xy"}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, SectorFile), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil {
			t.Errorf("%s: was opened", name)
		}
	}
}

// A seal that is cancelled at any place goes on when it is called again.
func TestSealGoesOn(t *testing.T) {
	data := payload(2000)
	want := seal(t, t.TempDir(), data)
	for stop := 1; stop < 20; stop++ {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		o, calls := options(), 0
		o.Progress = func(string, int64, int64) {
			if calls++; calls == stop {
				cancel()
			}
		}
		_, err := Seal(ctx, dir, bytes.NewReader(data), int64(len(data)), o)
		cancel()
		if err == nil {
			return // it was done before
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped at %d: %v", stop, err)
		}
		if got := seal(t, dir, data); got.CommR != want.CommR {
			t.Errorf("stopped at %d: got %v, want %v", stop, got.CommR, want.CommR)
		}
	}
}

func TestUnsealFindsDamage(t *testing.T) {
	ctx := context.Background()
	for name, damage := range map[string]func(b []byte) []byte{
		"flipped bit": func(b []byte) []byte { b[700] ^= 1; return b },
		"truncated":   func(b []byte) []byte { return b[:1000] },
		"empty":       func([]byte) []byte { return nil },
	} {
		dir := t.TempDir()
		s := seal(t, dir, payload(1500))
		change(t, filepath.Join(dir, porep.Sealed), damage)
		err := s.Unseal(ctx, io.Discard, 0, 1500)
		if !errors.Is(err, porep.ErrMismatch) && !errors.Is(err, porep.ErrSize) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	s := sealedSector(t)
	for _, r := range [][2]int64{{-1, 1}, {0, -1}, {0, 1501}, {1501, 0}, {1, 1<<63 - 1}} {
		if err := s.Unseal(ctx, io.Discard, r[0], r[1]); err == nil {
			t.Errorf("%d bytes from %d were given", r[1], r[0])
		}
	}
	if err := s.Unseal(ctx, failing{}, 0, 1500); !errors.Is(err, errFull) {
		t.Errorf("a writer that fails: got %v", err)
	}
}

var errFull = errors.New("full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }

func change(t *testing.T, path string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(b), 0o644); err != nil {
		t.Fatal(err)
	}
}

// documents are proofs of all kinds, vanilla and not.
func documents(t testing.TB) map[string]*Document {
	t.Helper()
	s := sealedSector(t)
	all := map[string]*Document{}
	for _, kind := range []string{KindSeal, KindWindow, KindWinning} {
		for _, system := range []string{Vanilla, insecure.Name} {
			d, err := Prove(context.Background(), s.dir, kind, Bytes{1, 2, 3}, system, Keys{})
			if err != nil {
				t.Fatal(err)
			}
			all[kind+" "+system] = d
		}
	}
	return all
}

func encoded(t testing.TB, d *Document) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := d.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDocuments(t *testing.T) {
	ctx := context.Background()
	for name, d := range documents(t) {
		if d.Summary() == "" || (d.System == Vanilla) != (len(d.Proofs) == 0) {
			t.Errorf("%s: got %d proofs, %q", name, len(d.Proofs), d.Summary())
		}
		again, err := Read(bytes.NewReader(encoded(t, d)))
		if err != nil || !bytes.Equal(encoded(t, again), encoded(t, d)) {
			t.Fatalf("%s: it is not what was written (%v)", name, err)
		}
		if err := again.Verify(ctx, Keys{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every number and every hex digit of a document counts, but the miner and the version of the
// seal in a vanilla proof of spacetime: Filecoin binds them to nothing.
func TestVerifyRefusesChanges(t *testing.T) {
	for name, d := range documents(t) {
		var v any
		if err := json.Unmarshal(encoded(t, d), &v); err != nil {
			t.Fatal(err)
		}
		changes := 0
		check := func(at string) {
			if changes++; changes%53 != 0 && changes > 60 {
				return // enough of the many alike
			}
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			changed, err := Read(bytes.NewReader(b))
			if err == nil {
				err = changed.Verify(context.Background(), Keys{})
			}
			if err == nil {
				t.Errorf("%s: %s changed, and it holds", name, at)
			}
		}
		var walk func(v any, at string, set func(any))
		walk = func(v any, at string, set func(any)) {
			switch v := v.(type) {
			case map[string]any:
				for k, e := range v {
					if name := at + "." + k; d.System == Vanilla && (name == ".post.miner" || name == ".post.sectors[].seal_proof") {
						continue
					}
					walk(e, at+"."+k, func(n any) { v[k] = n })
					if e == 0.0 {
						continue // what is left out is 0
					}
					delete(v, k)
					check(at + " without " + k)
					v[k] = e
				}
			case []any:
				for i, e := range v {
					walk(e, at+"[]", func(n any) { v[i] = n })
				}
				set(v[:len(v)-1])
				check(at + " cut")
				set(v)
			case float64:
				set(v + 1)
				check(at)
				set(-v - 1)
				check(at)
				set(v)
			case string:
				last := byte('0')
				if v[len(v)-3] == last {
					last = '1'
				}
				set(v[:len(v)-3] + string(last) + v[len(v)-2:])
				check(at)
				set(v[1:])
				check(at + " short")
				set(v)
			}
		}
		walk(v, "", func(any) {})
		if changes < 20 {
			t.Errorf("%s: only %d changes", name, changes)
		}
	}
}

func TestDocumentsThatAreNone(t *testing.T) {
	ctx := context.Background()
	all := documents(t)
	sealed, window := all[KindSeal+" vanilla"], all[KindWindow+" vanilla"]
	for name, d := range map[string]Document{
		"empty":              {},
		"kind alone":         {Kind: KindSeal, System: Vanilla},
		"no vanilla":         {Kind: KindSeal, System: Vanilla, Seal: sealed.Seal},
		"other statement":    {Kind: KindSeal, System: Vanilla, PoSt: window.PoSt, VanillaSeal: sealed.VanillaSeal},
		"both statements":    {Kind: KindWindow, System: Vanilla, Seal: sealed.Seal, PoSt: window.PoSt, VanillaPoSt: window.VanillaPoSt},
		"both proofs":        {Kind: KindSeal, System: Vanilla, Seal: sealed.Seal, VanillaSeal: sealed.VanillaSeal, Proofs: make([]ProofBytes, 1)},
		"vanilla for system": {Kind: KindSeal, System: insecure.Name, Seal: sealed.Seal, VanillaSeal: sealed.VanillaSeal},
		"no proof":           {Kind: KindSeal, System: insecure.Name, Seal: sealed.Seal},
		"no sectors":         {Kind: KindWindow, System: Vanilla, PoSt: &PoStStatement{}},
		"too few proofs":     {Kind: KindWindow, System: Vanilla, PoSt: window.PoSt},
		"kind of PoSt":       {Kind: KindWinning, System: Vanilla, PoSt: window.PoSt, VanillaPoSt: window.VanillaPoSt},
	} {
		if err := d.Verify(ctx, Keys{}); err == nil {
			t.Errorf("%s: it holds", name)
		}
		if err := d.Condense(ctx, insecure.New()); err == nil {
			t.Errorf("%s: it was condensed", name)
		}
	}
	for name, text := range map[string]string{"nothing": "", "a list": "[]", "unknown field": `{"kind":"seal","hello":1}`, "short proof": `{"proofs":["00"]}`} {
		if _, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%s: was read", name)
		}
	}
	for _, kind := range []string{"", "post"} {
		if _, err := Prove(ctx, sealedSector(t).dir, kind, Bytes{}, Vanilla, Keys{}); err == nil {
			t.Errorf("a proof of kind %q", kind)
		}
	}
	if _, err := Prove(ctx, sealedSector(t).dir, KindSeal, Bytes{}, "unheard of", Keys{}); err == nil {
		t.Error("a proof of an unknown system")
	}
}

// Damaged files make no proof that holds.
func TestProveFindsDamage(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	seal(t, dir, payload(1500))
	for _, name := range []string{porep.Sealed, porep.Aux} {
		path := filepath.Join(dir, name)
		var was []byte
		change(t, path, func(b []byte) []byte {
			was = bytes.Clone(b)
			for i := range b {
				b[i] ^= 1
			}
			return b
		})
		if _, err := Prove(ctx, dir, KindWindow, Bytes{}, Vanilla, Keys{}); err == nil {
			t.Errorf("%s damaged: a window PoSt was made", name)
		} else if name == porep.Sealed && !errors.Is(err, post.ErrDamaged) {
			t.Errorf("%s damaged: got %v", name, err)
		}
		if d, err := Prove(ctx, dir, KindSeal, Bytes{}, Vanilla, Keys{}); err == nil {
			if err := d.Verify(ctx, Keys{}); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s damaged: got %v", name, err)
			}
		}
		change(t, path, func([]byte) []byte { return was })
	}
}

func FuzzRead(f *testing.F) {
	for _, d := range documents(f) {
		f.Add(encoded(f, d))
	}
	f.Add([]byte(`{"kind":"window-post","system":"vanilla","post":{"sectors":[{}]},"vanilla_post":[{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		_ = d.Summary()
		_ = d.Verify(context.Background(), Keys{})
	})
}

func TestChoose(t *testing.T) {
	for payload, want := range map[int64]abi.RegisteredSealProof{
		1: kinds[0], 2032: kinds[0], 2033: kinds[1], 5 << 20: kinds[1], 1 << 30: kinds[3],
	} {
		if got, err := ProofFor(payload); err != nil || got != want {
			t.Errorf("%d bytes: got %d, %v, want %d", payload, got, err, want)
		}
	}
	if _, err := ProofFor(1 << 40); err == nil {
		t.Error("a sector for a terabyte")
	}
	if got, err := ProofOf(512 << 20); err != nil || got != kinds[2] {
		t.Errorf("got %d, %v", got, err)
	}
	if _, err := ProofOf(1000); err == nil {
		t.Error("a sector of 1000 bytes")
	}
	if m := MemoryUsed(); m.Own == 0 {
		t.Errorf("got %+v", m)
	}
}
