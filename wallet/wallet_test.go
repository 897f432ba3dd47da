package wallet

import (
	"bytes"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/stretchr/testify/require"
)

var secret = []byte("correct horse")

func plain(t *testing.T, dir string) *Wallet {
	t.Helper()
	w, err := Open(dir, Options{Plain: true})
	require.NoError(t, err)
	return w
}

func locked(t *testing.T, dir string) *Wallet {
	t.Helper()
	w, err := Open(dir, Options{WorkFactor: 4})
	require.NoError(t, err)
	return w
}

func encrypted(t *testing.T, dir string) *Wallet {
	t.Helper()
	w, err := Open(dir, Options{Passphrase: secret, WorkFactor: 4})
	require.NoError(t, err)
	return w
}

func newKey(t *testing.T, w *Wallet, typ crypto.SigType) address.Address {
	t.Helper()
	a, err := w.New(typ)
	require.NoError(t, err)
	return a
}

// signs checks that the wallet's signatures verify.
func signs(t *testing.T, w *Wallet, a address.Address) {
	t.Helper()
	sig, err := w.Sign(t.Context(), a, []byte("hello"))
	require.NoError(t, err)
	require.NoError(t, sigs.Verify(sig, a, []byte("hello")))
	require.ErrorIs(t, sigs.Verify(sig, a, []byte("other")), sigs.ErrInvalid)
}

func fileOf(dir, entry string) string {
	return filepath.Join(dir, base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(entry)))
}

func TestPlainKeystoreIsThatOfTheSpec(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keystore")
	w := plain(t, dir)
	a := newKey(t, w, crypto.SigTypeSecp256k1)

	st, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), st.Mode().Perm())
	for _, entry := range []string{"wallet-" + a.String(), "default", "unencrypted"} {
		st, err := os.Stat(fileOf(dir, entry))
		require.NoError(t, err, entry)
		require.Equal(t, os.FileMode(0o600), st.Mode().Perm(), entry)
	}
	b, err := os.ReadFile(fileOf(dir, "wallet-"+a.String()))
	require.NoError(t, err)
	var k struct {
		Type       string
		PrivateKey []byte
	}
	require.NoError(t, json.Unmarshal(b, &k))
	require.Equal(t, "secp256k1", k.Type)
	require.Len(t, k.PrivateKey, 32)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 3, "nothing else is left behind")
}

func TestKeysSurviveReopening(t *testing.T) {
	for name, open := range map[string]func(*testing.T, string) *Wallet{"plain": plain, "encrypted": encrypted} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := open(t, dir)
			bls, secp := newKey(t, w, crypto.SigTypeBLS), newKey(t, w, crypto.SigTypeSecp256k1)
			require.NoError(t, w.SetDefault(secp))

			w = open(t, dir)
			require.ElementsMatch(t, []address.Address{bls, secp}, w.List())
			def, err := w.Default()
			require.NoError(t, err)
			require.Equal(t, secp, def)
			signs(t, w, bls)
			signs(t, w, secp)
			signs(t, w, secp) // from memory
		})
	}
}

func TestEncryptedFilesHoldNoKey(t *testing.T) {
	dir := t.TempDir()
	w := encrypted(t, dir)
	a := newKey(t, w, crypto.SigTypeBLS)
	k, err := w.Export(a)
	require.NoError(t, err)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(b, []byte("age-encryption.org/v1\n-> scrypt ")), f.Name())
		require.False(t, bytes.Contains(b, k.PrivateKey))
	}
}

func TestLockAndUnlock(t *testing.T) {
	dir := t.TempDir()
	w := encrypted(t, dir)
	a := newKey(t, w, crypto.SigTypeBLS)
	signs(t, w, a)
	require.NoError(t, w.Lock())
	require.True(t, w.Locked())
	_, err := w.Sign(t.Context(), a, nil)
	require.ErrorIs(t, err, ErrLocked)
	_, err = w.New(crypto.SigTypeBLS)
	require.ErrorIs(t, err, ErrLocked)
	require.True(t, w.Has(a), "names are no secret")
	require.ErrorIs(t, w.Unlock([]byte("wrong")), ErrPassphrase)
	require.ErrorIs(t, w.Unlock(nil), ErrPassphrase)
	require.True(t, w.Locked())
	require.NoError(t, w.Unlock(secret))
	signs(t, w, a)

	w = locked(t, dir)
	require.True(t, w.Locked())
	def, err := w.Default()
	require.NoError(t, err, "the default is known while locked")
	require.Equal(t, a, def)
	_, err = Open(dir, Options{Passphrase: []byte("wrong")})
	require.ErrorIs(t, err, ErrPassphrase)
}

func TestPlainCannotBeLockedAndTellsSo(t *testing.T) {
	dir := t.TempDir()
	w := plain(t, dir)
	require.True(t, w.Plain())
	require.False(t, w.Locked())
	require.ErrorIs(t, w.Lock(), ErrPlain)
	require.ErrorIs(t, w.Unlock(secret), ErrPlain)
	_, err := Open(dir, Options{Passphrase: secret})
	require.ErrorIs(t, err, ErrPlain)
	w, err = Open(dir, Options{})
	require.NoError(t, err, "the mark is enough")
	require.True(t, w.Plain())
}

func TestNewKeystoreNeedsAChoice(t *testing.T) {
	_, err := Open(t.TempDir(), Options{})
	require.ErrorIs(t, err, ErrNoPassphrase)
	_, err = Open(t.TempDir(), Options{Passphrase: []byte{}})
	require.ErrorIs(t, err, ErrPassphrase)
}

func TestSetPassphrase(t *testing.T) {
	t.Run("of a plain keystore", func(t *testing.T) {
		dir := t.TempDir()
		w := plain(t, dir)
		w.factor = 4
		a, b := newKey(t, w, crypto.SigTypeBLS), newKey(t, w, crypto.SigTypeSecp256k1)
		require.NoError(t, w.Delete(b))
		require.NoError(t, w.SetPassphrase(nil, secret))
		require.False(t, w.Plain())
		w = encrypted(t, dir)
		signs(t, w, a)
		def, err := w.Default()
		require.NoError(t, err)
		require.Equal(t, a, def)
		require.NoFileExists(t, fileOf(dir, "unencrypted"))
		trash, err := os.ReadFile(fileOf(dir, "trash-"+b.String()))
		require.NoError(t, err)
		require.True(t, isEnvelope(trash), "deleted keys are encrypted as well")
	})
	t.Run("another", func(t *testing.T) {
		dir := t.TempDir()
		w := encrypted(t, dir)
		a := newKey(t, w, crypto.SigTypeBLS)
		require.ErrorIs(t, w.SetPassphrase([]byte("wrong"), []byte("new")), ErrPassphrase)
		require.NoError(t, w.SetPassphrase(secret, []byte("new")))
		_, err := Open(dir, Options{Passphrase: secret})
		require.ErrorIs(t, err, ErrPassphrase)
		w, err = Open(dir, Options{Passphrase: []byte("new")})
		require.NoError(t, err)
		signs(t, w, a)
	})
	t.Run("cut short", func(t *testing.T) {
		dir := t.TempDir()
		w := encrypted(t, dir)
		a, b := newKey(t, w, crypto.SigTypeBLS), newKey(t, w, crypto.SigTypeBLS)
		require.NoError(t, w.encryptEntry(walletPrefix+a.String(), secret, []byte("new")))

		w = encrypted(t, dir) // the old one still opens it
		signs(t, w, b)
		_, err := w.Sign(t.Context(), a, nil)
		require.ErrorIs(t, err, ErrPassphrase)
		require.NoError(t, w.SetPassphrase(secret, []byte("new")))
		w, err = Open(dir, Options{Passphrase: []byte("new")})
		require.NoError(t, err)
		signs(t, w, a)
		signs(t, w, b)
	})
}

func TestForeignPlainKeystoreIsEncryptedOnOpen(t *testing.T) {
	dir := t.TempDir()
	w := plain(t, dir)
	a := newKey(t, w, crypto.SigTypeSecp256k1)
	require.NoError(t, os.Remove(fileOf(dir, "unencrypted"))) // as another node leaves it
	other := fileOf(dir, "libp2p-host")
	require.NoError(t, os.WriteFile(other, []byte("{}"), 0o600))

	_, err := Open(dir, Options{})
	require.ErrorIs(t, err, ErrNoPassphrase)
	w = encrypted(t, dir)
	signs(t, w, a)
	def, err := w.Default()
	require.NoError(t, err)
	require.Equal(t, a, def)
	b, err := os.ReadFile(fileOf(dir, "wallet-"+a.String()))
	require.NoError(t, err)
	require.True(t, isEnvelope(b))
	b, err = os.ReadFile(other)
	require.NoError(t, err)
	require.Equal(t, "{}", string(b), "what is no key of ours stays as it is")
}

func TestDeleteGoesToTheTrash(t *testing.T) {
	dir := t.TempDir()
	w := plain(t, dir)
	a := newKey(t, w, crypto.SigTypeBLS)
	k, err := w.Export(a)
	require.NoError(t, err)
	for i, trash := range []string{"trash-", "trash-"} {
		name := trash + a.String()
		if i > 0 {
			name += "-1"
		}
		require.NoError(t, w.Delete(a))
		require.FileExists(t, fileOf(dir, name))
		require.NoFileExists(t, fileOf(dir, "default"))
		require.False(t, w.Has(a))
		_, err := w.Sign(t.Context(), a, nil)
		require.ErrorIs(t, err, ErrNoKey)
		_, err = w.Default()
		require.ErrorIs(t, err, ErrNoDefault)
		_, err = w.Import(k)
		require.NoError(t, err)
	}
	require.NoError(t, w.Delete(a))
	require.ErrorIs(t, w.Delete(a), ErrNoKey)
	require.ErrorIs(t, w.SetDefault(a), ErrNoKey)
	require.Empty(t, plain(t, dir).List())
}

func TestReadableKeyFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	w := plain(t, dir)
	a := newKey(t, w, crypto.SigTypeBLS)
	require.NoError(t, os.Chmod(fileOf(dir, "wallet-"+a.String()), 0o640))
	_, err := w.Sign(t.Context(), a, nil)
	require.ErrorContains(t, err, "0640")
}

func TestDamagedKeyFilesAreRefused(t *testing.T) {
	for name, harm := range map[string]func(own, other []byte) []byte{
		"another key": func(_, other []byte) []byte { return other },
		"text":        func([]byte, []byte) []byte { return []byte("no key at all") },
		"empty":       func([]byte, []byte) []byte { return nil },
		"cut off":     func(own, _ []byte) []byte { return own[:len(own)/2] },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := plain(t, dir)
			a, b := newKey(t, w, crypto.SigTypeBLS), newKey(t, w, crypto.SigTypeBLS)
			file := fileOf(dir, "wallet-"+b.String())
			own, err := os.ReadFile(file)
			require.NoError(t, err)
			other, err := os.ReadFile(fileOf(dir, "wallet-"+a.String()))
			require.NoError(t, err)
			open := plain(t, dir) // before the damage
			require.NoError(t, os.WriteFile(file, harm(own, other), 0o600))
			_, err = open.Sign(t.Context(), b, nil)
			require.ErrorIs(t, err, ErrBadKey)
			_, err = Open(dir, Options{Plain: true})
			require.ErrorIs(t, err, ErrBadKey)
			require.ErrorContains(t, err, file, "what to move away")
			require.NoError(t, os.Remove(file))
			require.Equal(t, []address.Address{a}, plain(t, dir).List())
		})
	}
}

func TestLeftoverOfACrashIsRemoved(t *testing.T) {
	dir := t.TempDir()
	a := newKey(t, plain(t, dir), crypto.SigTypeBLS)
	left := filepath.Join(dir, ".new-123")
	require.NoError(t, os.WriteFile(left, []byte("half a k"), 0o600))
	require.Equal(t, []address.Address{a}, plain(t, dir).List())
	require.NoFileExists(t, left)
}

func TestKeyUnderTheOtherNetworkLetter(t *testing.T) {
	dir := t.TempDir()
	w := plain(t, dir)
	a := newKey(t, w, crypto.SigTypeBLS)
	current := fileOf(dir, "wallet-"+a.String())
	letter := map[string]string{"f": "t", "t": "f"}[a.String()[:1]]
	require.NoError(t, os.Rename(current, fileOf(dir, "wallet-"+letter+a.String()[1:])))
	w = plain(t, dir)
	require.FileExists(t, current, "a copy under the letter of the process")
	signs(t, w, a)
	require.NoError(t, w.Delete(a))
	require.Empty(t, plain(t, dir).List(), "both are deleted")
}

func TestImportForms(t *testing.T) {
	private := bytes.Repeat([]byte{7}, 32)
	const b64 = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="
	want := KeyInfo{crypto.SigTypeBLS, private}
	inHex := func(s string) string { return hex.EncodeToString([]byte(s)) }
	named := `{"Type":"bls","PrivateKey":"` + b64 + `"}`
	good := map[string]string{
		"hex":          inHex(named),
		"upper hex":    strings.ToUpper(inHex(named)) + "\n",
		"JSON":         named,
		"integer type": `{"Type":2,"PrivateKey":"` + b64 + `"}`,
		"hex integer":  inHex(`{"Type":2,"PrivateKey":"` + b64 + `"}`),
		"of 2019":      `{"KeyInfo":[{"PrivateKey":"` + b64 + `","SigType":2}]}`,
	}
	for name, in := range good {
		t.Run(name, func(t *testing.T) {
			k, err := ParseKey([]byte(in))
			require.NoError(t, err)
			require.Equal(t, want, k)
		})
	}
	out, err := want.Hex()
	require.NoError(t, err)
	require.Equal(t, inHex(named), out)

	bad := map[string]string{
		"empty":            "",
		"text":             "hello",
		"odd hex":          "abc",
		"hex of nothing":   "00",
		"other type":       `{"Type":"ed25519","PrivateKey":"` + b64 + `"}`,
		"delegated":        `{"Type":"delegated","PrivateKey":"` + b64 + `"}`,
		"integer 3":        `{"Type":3,"PrivateKey":"` + b64 + `"}`,
		"no type":          `{"PrivateKey":"` + b64 + `"}`,
		"short":            `{"Type":"bls","PrivateKey":"Bwc="}`,
		"zero":             `{"Type":"bls","PrivateKey":"` + strings.Repeat("A", 43) + `="}`,
		"above the order":  `{"Type":"secp256k1","PrivateKey":"` + strings.Repeat("/", 42) + `8="}`,
		"two where one":    `{"KeyInfo":[{"PrivateKey":"` + b64 + `","SigType":2},{"PrivateKey":"` + b64 + `","SigType":1}]}`,
		"bad one of 2019":  `{"KeyInfo":[{"PrivateKey":"","SigType":2}]}`,
		"longer than read": strings.Repeat("0", maxKeyBytes+1),
	}
	for name, in := range bad {
		t.Run(name, func(t *testing.T) {
			_, err := ParseKey([]byte(in))
			require.ErrorIs(t, err, ErrBadKey)
			require.NotContains(t, err.Error(), b64, "secrets stay out of errors")
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	w := encrypted(t, t.TempDir())
	a := newKey(t, w, crypto.SigTypeSecp256k1)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				if _, err := w.Sign(t.Context(), a, []byte("x")); err != nil && !errors.Is(err, ErrLocked) {
					t.Error(err)
				}
				w.List()
			}
		})
	}
	for range 10 {
		require.NoError(t, w.Lock())
		require.NoError(t, w.Unlock(secret))
	}
	wg.Wait()
}

func FuzzParseKeys(f *testing.F) {
	k := KeyInfo{crypto.SigTypeBLS, bytes.Repeat([]byte{7}, 32)}
	h, err := k.Hex()
	require.NoError(f, err)
	f.Add([]byte(h))
	f.Add([]byte(`{"Type":1,"PrivateKey":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="}`))
	f.Add([]byte(`{"KeyInfo":[{"PrivateKey":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=","SigType":2}]}`))
	f.Add([]byte(`7b7d`))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := ParseKeys(b)
		if err != nil {
			require.ErrorIs(t, err, ErrBadKey)
			return
		}
		for _, k := range keys {
			h, err := k.Hex()
			require.NoError(t, err)
			again, err := ParseKey([]byte(h))
			require.NoError(t, err)
			require.Equal(t, k, again)
		}
	})
}
