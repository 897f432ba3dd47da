//go:build !purego

#include "textflag.h"

// func prefetch(labels []byte, nodes []uint32)
TEXT ·prefetch(SB), NOSPLIT, $0-48
	MOVQ labels_base+0(FP), AX
	MOVQ nodes_base+24(FP), BX
	MOVQ nodes_len+32(FP), CX
	TESTQ CX, CX
	JZ   done

next:
	MOVL       (BX), DX
	SHLQ       $5, DX // 32 bytes a label
	PREFETCHT0 (AX)(DX*1)
	ADDQ       $4, BX
	DECQ       CX
	JNZ        next

done:
	RET
