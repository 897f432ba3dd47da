//go:build !purego

#include "textflag.h"

// func prefetch(labels []byte, nodes []uint32)
TEXT ·prefetch(SB), NOSPLIT, $0-48
	MOVD labels_base+0(FP), R0
	MOVD nodes_base+24(FP), R1
	MOVD nodes_len+32(FP), R2
	CBZ  R2, done

next:
	MOVWU.P 4(R1), R3
	ADD     R3<<5, R0, R4 // 32 bytes a label
	PRFM    (R4), PLDL1KEEP
	SUBS    $1, R2
	BNE     next

done:
	RET
