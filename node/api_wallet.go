package node

import (
	"context"
	"errors"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/lodenet/lode/wallet"
)

// walletAPI uses the node's keys. Addresses may be of any form that leads to a key.
type walletAPI struct{ n *Node }

// sigTypes are the kinds of keys by their names.
var sigTypes = map[api.KeyType]crypto.SigType{
	api.KeyBLS:       crypto.SigTypeBLS,
	api.KeySecp256k1: crypto.SigTypeSecp256k1,
}

func sigType(k api.KeyType) (crypto.SigType, error) {
	t, ok := sigTypes[k]
	if !ok {
		return 0, badParam("key type %q is not %q or %q", k, api.KeyBLS, api.KeySecp256k1)
	}
	return t, nil
}

// key is the address that the wallet knows the key of an account by.
func (a walletAPI) key(ctx context.Context, addr address.Address) (address.Address, error) {
	switch addr.Protocol() {
	case address.SECP256K1, address.BLS:
		return addr, nil
	case address.Unknown:
		return addr, badParam("address: none given")
	}
	k, err := view.At(a.n.store, a.n.store.Head().ParentState()).KeyAddress(ctx, addr)
	return k, coded(err)
}

func (a walletAPI) WalletNew(_ context.Context, kind api.KeyType) (address.Address, error) {
	t, err := sigType(kind)
	if err != nil {
		return address.Undef, err
	}
	return a.n.keys.New(t)
}

func (a walletAPI) WalletList(context.Context) ([]address.Address, error) {
	return a.n.keys.List(), nil
}

func (a walletAPI) WalletHas(ctx context.Context, addr address.Address) (bool, error) {
	k, err := a.key(ctx, addr)
	if errors.Is(err, api.ErrActorNotFound) || errors.Is(err, view.ErrWrongActor) {
		return false, nil // no key leads there
	}
	return err == nil && a.n.keys.Has(k), err
}

func (a walletAPI) WalletBalance(ctx context.Context, addr address.Address) (abi.TokenAmount, error) {
	act, err := view.At(a.n.store, a.n.store.Head().ParentState()).Actor(ctx, addr)
	if errors.Is(err, view.ErrNotFound) {
		return big.Zero(), nil
	}
	if err != nil {
		return abi.TokenAmount{}, err
	}
	return act.Balance, nil
}

func (a walletAPI) WalletSign(ctx context.Context, addr address.Address, data []byte) (*crypto.Signature, error) {
	k, err := a.key(ctx, addr)
	if err != nil {
		return nil, err
	}
	return a.n.keys.Sign(ctx, k, data)
}

func (a walletAPI) WalletSignMessage(ctx context.Context, addr address.Address, msg *types.Message) (*types.SignedMessage, error) {
	if msg == nil {
		return nil, badParam("message: none given")
	}
	if _, err := msg.Serialize(); err != nil {
		return nil, badParam("message: %v", err)
	}
	sig, err := a.WalletSign(ctx, addr, msg.Cid().Bytes())
	if err != nil {
		return nil, err
	}
	return &types.SignedMessage{Message: *msg, Signature: *sig}, nil
}

func (a walletAPI) WalletVerify(ctx context.Context, addr address.Address, data []byte, sig *crypto.Signature) (bool, error) {
	if sig == nil {
		return false, badParam("signature: none given")
	}
	k, err := a.key(ctx, addr)
	if err != nil {
		return false, err
	}
	err = sigs.Verify(sig, k, data)
	if errors.Is(err, sigs.ErrInvalid) {
		return false, nil
	}
	return err == nil, err
}

func (a walletAPI) WalletDefaultAddress(context.Context) (address.Address, error) {
	return a.n.keys.Default()
}

func (a walletAPI) WalletSetDefault(ctx context.Context, addr address.Address) error {
	k, err := a.key(ctx, addr)
	if err != nil {
		return err
	}
	return a.n.keys.SetDefault(k)
}

func (a walletAPI) WalletExport(ctx context.Context, addr address.Address) (*api.KeyInfo, error) {
	k, err := a.key(ctx, addr)
	if err != nil {
		return nil, err
	}
	info, err := a.n.keys.Export(k)
	if err != nil {
		return nil, err
	}
	for name, t := range sigTypes {
		if t == info.Type {
			return &api.KeyInfo{Type: name, PrivateKey: info.PrivateKey}, nil
		}
	}
	return nil, wallet.ErrBadKey
}

func (a walletAPI) WalletImport(_ context.Context, key *api.KeyInfo) (address.Address, error) {
	if key == nil {
		return address.Undef, badParam("key: none given")
	}
	t, err := sigType(key.Type)
	if err != nil {
		return address.Undef, err
	}
	return a.n.keys.Import(wallet.KeyInfo{Type: t, PrivateKey: key.PrivateKey})
}

func (a walletAPI) WalletDelete(ctx context.Context, addr address.Address) error {
	k, err := a.key(ctx, addr)
	if err != nil {
		return err
	}
	return a.n.keys.Delete(k)
}

func (a walletAPI) WalletValidateAddress(_ context.Context, text string) (address.Address, error) {
	addr, err := address.NewFromString(text)
	if err != nil {
		return address.Undef, badParam("address %q: %v", text, err)
	}
	return addr, nil
}
