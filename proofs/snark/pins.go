package snark

import "github.com/lodenet/lode/proofs/groth16"

// devnetPins are the digests of the verifying keys that the public seed of devnets gives, by
// circuit: with them, keys that are there are found without compiling a circuit first, which
// takes longer than all else. A circuit that changes has another name, and new lines here.
var devnetPins = map[string]string{
	"winning-2048-8-0-0-1-66-v1": "70db30127422eaf493536f60e3e7b71e871ab3115fa277ca67e5c00e7f21f487",
	"window-2048-8-0-0-2-10-v1":  "313d720742c0d4ce507a4bb4334ada46aca522d3b06a152c51cbdd6808fbd6cd",
	"porep-2048-8-0-0-2-2-v1":    "bba4a8422c7566ac008f486cc3d336bfc7e69c5bf96f9e470271ae0711c0e1c9",

	"winning-8388608-8-0-0-1-66-v1": "470e8c0ff8ca8024a3d4acd0cba49d067f648c793d4e64a6f61ded36a64d6b4f",
	"window-8388608-8-0-0-2-10-v1":  "1ef8aa79cec21ec4d7c3620083639c450f23eae0a2b6ec4cc50d58585139143a",
	"porep-8388608-8-0-0-2-2-v1":    "1357355326db342b558d1570744cf8219e781673c17d1db8dec9880e764a0556",
}

// devnetPin is the pin of a circuit, or zero where none is known.
func devnetPin(name string) (d groth16.Digest, err error) {
	if text, ok := devnetPins[name]; ok {
		err = d.UnmarshalText([]byte(text))
	}
	return d, err
}
