package sealing

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/exitcode"

	"github.com/lodenet/lode/chain/outbox"
)

// Messages sends the miner's messages (outbox.Outbox). Safe from many goroutines.
type Messages interface {
	// Send records an intent and sends it; outbox.ErrKeyReused when its key has another one.
	Send(ctx context.Context, in outbox.Intent) (outbox.ID, error)
	// ByKey finds an intent by its key, or returns outbox.ErrUnknown.
	ByKey(ctx context.Context, key string) (outbox.ID, error)
	// Wait follows a message through replacements and reorgs until it has the confidence.
	Wait(ctx context.Context, id outbox.ID, confidence abi.ChainEpoch) (*outbox.Result, error)
}

// ErrRefused: the message is on chain and failed, or will never be on chain. It may be sent
// again under another key.
var ErrRefused = errors.New("message failed")

// SendOnce sends an intent unless one was sent under its key. A caller that was interrupted
// may come again with other parameters, since the chain went on: the first ones count.
func SendOnce(ctx context.Context, m Messages, in outbox.Intent) (outbox.ID, error) {
	id, err := m.ByKey(ctx, in.Key)
	if errors.Is(err, outbox.ErrUnknown) {
		id, err = m.Send(ctx, in)
	}
	if err != nil {
		return 0, fmt.Errorf("message %s: %w", in.Key, err)
	}
	return id, nil
}

// Await waits for a message; ErrRefused when it had no effect.
func Await(ctx context.Context, m Messages, id outbox.ID, confidence abi.ChainEpoch) (*outbox.Result, error) {
	res, err := m.Wait(ctx, id, confidence)
	if errors.Is(err, outbox.ErrReplaced) || errors.Is(err, outbox.ErrNotSent) || errors.Is(err, outbox.ErrUnknown) {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err != nil {
		return nil, err
	}
	if code := exitcode.ExitCode(res.Receipt.ExitCode); code != exitcode.Ok {
		return res, fmt.Errorf("%w: %s at epoch %d: %s", ErrRefused, res.Message, res.Height, code)
	}
	return res, nil
}
