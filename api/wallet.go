package api

import (
	"context"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/lodenet/lode/chain/types"
)

// Wallet uses the node's keys.
type Wallet interface {
	// WalletNew makes a key and returns its address.
	//
	//perm:write
	WalletNew(ctx context.Context, kind KeyType) (address.Address, error)
	// WalletList lists the addresses.
	//
	//perm:write
	WalletList(ctx context.Context) ([]address.Address, error)
	// WalletHas tells whether the wallet can sign for an address.
	//
	//perm:write
	WalletHas(ctx context.Context, addr address.Address) (bool, error)
	// WalletBalance is what an address can spend, attoFIL; 0 when it does not exist yet.
	//
	//perm:read
	WalletBalance(ctx context.Context, addr address.Address) (abi.TokenAmount, error)
	// WalletSign signs bytes.
	//
	//perm:sign
	WalletSign(ctx context.Context, addr address.Address, data []byte) (*crypto.Signature, error)
	// WalletSignMessage signs a message as it is.
	//
	//perm:sign
	WalletSignMessage(ctx context.Context, addr address.Address, msg *types.Message) (*types.SignedMessage, error)
	// WalletVerify tells whether a signature is good.
	//
	//perm:read
	WalletVerify(ctx context.Context, addr address.Address, data []byte, sig *crypto.Signature) (bool, error)
	// WalletDefaultAddress is the address used when none is named.
	//
	//perm:write
	WalletDefaultAddress(ctx context.Context) (address.Address, error)
	// WalletSetDefault chooses it.
	//
	//perm:write
	WalletSetDefault(ctx context.Context, addr address.Address) error
	// WalletExport gives a secret key out.
	//
	//perm:admin
	WalletExport(ctx context.Context, addr address.Address) (*KeyInfo, error)
	// WalletImport takes a secret key in.
	//
	//perm:admin
	WalletImport(ctx context.Context, key *KeyInfo) (address.Address, error)
	// WalletDelete removes a key from use; a copy stays in the keystore's trash.
	//
	//perm:admin
	WalletDelete(ctx context.Context, addr address.Address) error
	// WalletValidateAddress parses an address.
	//
	//perm:read
	WalletValidateAddress(ctx context.Context, text string) (address.Address, error)
}
