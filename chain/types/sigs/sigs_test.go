package sigs

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/stretchr/testify/require"
)

func TestSignAndVerify(t *testing.T) {
	for name, typ := range map[string]crypto.SigType{"bls": crypto.SigTypeBLS, "secp256k1": crypto.SigTypeSecp256k1} {
		t.Run(name, func(t *testing.T) {
			key, err := Generate(typ)
			require.NoError(t, err)
			other, err := Generate(typ)
			require.NoError(t, err)
			require.NotEqual(t, key, other)
			a, err := Address(typ, key)
			require.NoError(t, err)
			b, err := Address(typ, other)
			require.NoError(t, err)
			for _, msg := range [][]byte{nil, []byte("hello"), bytes.Repeat([]byte{1}, 1000)} {
				sig, err := Sign(typ, key, msg)
				require.NoError(t, err)
				require.NoError(t, Verify(sig, a, msg))
				require.ErrorIs(t, Verify(sig, b, msg), ErrInvalid)
				require.ErrorIs(t, Verify(sig, a, append([]byte("x"), msg...)), ErrInvalid)
				for _, at := range []int{0, 40, len(sig.Data) - 1} {
					bad := crypto.Signature{Type: sig.Type, Data: slices.Clone(sig.Data)}
					bad.Data[at] ^= 4
					require.ErrorIs(t, Verify(&bad, a, msg), ErrInvalid, "byte %d", at)
				}
				require.ErrorIs(t, Verify(&crypto.Signature{Type: typ, Data: sig.Data[1:]}, a, msg), ErrInvalid)
				require.ErrorIs(t, Verify(&crypto.Signature{Type: typ, Data: append(sig.Data, 0)}, a, msg), ErrInvalid)
			}
		})
	}
	id, err := address.NewIDAddress(1)
	require.NoError(t, err)
	require.ErrorIs(t, Verify(nil, id, nil), ErrInvalid)
	require.ErrorIs(t, Verify(&crypto.Signature{Type: crypto.SigTypeBLS}, id, nil), ErrInvalid)
	require.ErrorIs(t, Verify(&crypto.Signature{Type: crypto.SigTypeSecp256k1}, address.Undef, nil), ErrInvalid)
	_, err = Sign(crypto.SigTypeDelegated, make([]byte, 32), nil)
	require.ErrorIs(t, err, ErrKeyType)
	_, err = Generate(crypto.SigTypeUnknown)
	require.ErrorIs(t, err, ErrKeyType)
}

func TestBadPrivateKeys(t *testing.T) {
	order, _ := new(big.Int).SetString("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001", 16)
	le := order.Bytes()
	slices.Reverse(le)
	for name, key := range map[string][]byte{
		"empty": nil, "short": make([]byte, 31), "long": make([]byte, 33), "zero": make([]byte, 32),
		"all ones": bytes.Repeat([]byte{0xff}, 32),
	} {
		for _, typ := range []crypto.SigType{crypto.SigTypeBLS, crypto.SigTypeSecp256k1} {
			_, err := Address(typ, key)
			require.Error(t, err, name)
			_, err = Sign(typ, key, nil)
			require.Error(t, err, name)
		}
	}
	_, err := Address(crypto.SigTypeBLS, le)
	require.Error(t, err, "the order of the group")
	_, err = Address(crypto.SigTypeSecp256k1, secp256k1.Params().N.Bytes())
	require.Error(t, err)
}

// A key of one has the generator as public key: the encodings are what other nodes use.
func TestKeyOfOne(t *testing.T) {
	one := make([]byte, 32)
	one[0] = 1
	a, err := Address(crypto.SigTypeBLS, one)
	require.NoError(t, err)
	require.Equal(t, "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb", hex.EncodeToString(a.Payload()))
	slices.Reverse(one)
	a, err = Address(crypto.SigTypeSecp256k1, one)
	require.NoError(t, err)
	g := secp256k1.NewPrivateKey(new(secp256k1.ModNScalar).SetInt(1)).PubKey().SerializeUncompressed()
	want, err := address.NewSecp256k1Address(g)
	require.NoError(t, err)
	require.Equal(t, want, a)
}

func TestSecpSignaturesAreLowS(t *testing.T) {
	key, err := Generate(crypto.SigTypeSecp256k1)
	require.NoError(t, err)
	half := new(big.Int).Rsh(secp256k1.Params().N, 1)
	for i := range 32 {
		sig, err := Sign(crypto.SigTypeSecp256k1, key, []byte{byte(i)})
		require.NoError(t, err)
		require.Len(t, sig.Data, 65)
		require.LessOrEqual(t, sig.Data[64], byte(3))
		require.LessOrEqual(t, new(big.Int).SetBytes(sig.Data[32:64]).Cmp(half), 0)
	}
}

func TestAggregate(t *testing.T) {
	const n = 5
	var all, keys, msgs [][]byte
	for i := range n {
		key := KeyFromSeed([]byte{byte(i)})
		require.Equal(t, key, KeyFromSeed([]byte{byte(i)}), "the same seed is the same key")
		a, err := Address(crypto.SigTypeBLS, key)
		require.NoError(t, err)
		msg := []byte(fmt.Sprint("message ", i))
		sig, err := Sign(crypto.SigTypeBLS, key, msg)
		require.NoError(t, err)
		all, keys, msgs = append(all, sig.Data), append(keys, a.Payload()), append(msgs, msg)
	}
	agg, err := Aggregate(all)
	require.NoError(t, err)
	require.NoError(t, VerifyAggregate(agg, keys, msgs))

	some, err := Aggregate(all[:n-1])
	require.NoError(t, err)
	identity := append([]byte{0xc0}, make([]byte, 47)...)
	for name, c := range map[string]struct {
		sig        []byte
		keys, msgs [][]byte
	}{
		"one signature missing": {some, keys, msgs},
		"one message missing":   {agg, keys[:n-1], msgs[:n-1]},
		"lengths differ":        {agg, keys, msgs[:n-1]},
		"none":                  {agg, nil, nil},
		"keys in other order":   {agg, append([][]byte{keys[1], keys[0]}, keys[2:]...), msgs},
		"identity key":          {agg, append([][]byte{identity}, keys...), append([][]byte{[]byte("x")}, msgs...)},
		"short key":             {agg, append([][]byte{keys[0][1:]}, keys[1:]...), msgs},
	} {
		t.Run(name, func(t *testing.T) { require.ErrorIs(t, VerifyAggregate(c.sig, c.keys, c.msgs), ErrInvalid) })
	}
	t.Run("same message twice", func(t *testing.T) {
		// The sum is right, and it is refused all the same.
		b, err := Address(crypto.SigTypeBLS, KeyFromSeed([]byte("other")))
		require.NoError(t, err)
		sig, err := Sign(crypto.SigTypeBLS, KeyFromSeed([]byte("other")), msgs[0])
		require.NoError(t, err)
		two, err := Aggregate([][]byte{all[0], sig.Data})
		require.NoError(t, err)
		require.ErrorIs(t, VerifyAggregate(two, [][]byte{keys[0], b.Payload()}, [][]byte{msgs[0], msgs[0]}), ErrInvalid)
	})
	t.Run("of none", func(t *testing.T) {
		got, err := Aggregate(nil)
		require.NoError(t, err)
		require.Equal(t, append([]byte{0xc0}, make([]byte, 95)...), got)
	})
	_, err = Aggregate([][]byte{all[0], all[1][1:]})
	require.ErrorIs(t, err, ErrInvalid)
	_, err = Aggregate([][]byte{bytes.Repeat([]byte{0xff}, 96)})
	require.ErrorIs(t, err, ErrInvalid)
}

func FuzzVerify(f *testing.F) {
	for _, typ := range []crypto.SigType{crypto.SigTypeBLS, crypto.SigTypeSecp256k1} {
		key, err := Generate(typ)
		require.NoError(f, err)
		sig, err := Sign(typ, key, []byte("m"))
		require.NoError(f, err)
		a, err := Address(typ, key)
		require.NoError(f, err)
		f.Add(byte(typ), sig.Data, a.Bytes())
	}
	f.Fuzz(func(t *testing.T, typ byte, sig, signer []byte) {
		a, err := address.NewFromBytes(signer)
		if err != nil {
			return
		}
		if err := Verify(&crypto.Signature{Type: crypto.SigType(typ), Data: sig}, a, []byte("another")); err == nil {
			t.Fatal("a signature of m verifies for another message")
		} else {
			require.ErrorIs(t, err, ErrInvalid)
		}
	})
}
