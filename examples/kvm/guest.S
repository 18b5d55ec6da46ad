// The guest: 32-bit protected mode, flat segments, no paging, no interrupts, no stack. Every virtual CPU runs this code
// on pages of its own. In each round it visits all of them in scattered order, compares 16 words of each, not the same
// ones in every page, with what the round before has left there, and leaves something new:
//
//     word = address of the page * 0x9E3779B1 + round
//
// 16 and not 1024, because some hypervisors that nest run such a guest instruction by instruction.
// Set by the VMM: esi first page, ebp number of pages (a power of two), esp ebp - 1, ebx round (0), edx page count (0).
    .section .rodata
    .globl guest_code
    .globl guest_code_end
    .code32
guest_code:
    cld
page:
    imul $7919, %edx, %edi              // Odd, so that every page of a round has its turn.
    andl %esp, %edi
    shll $12, %edi
    addl %esi, %edi
    imul $0x9E3779B1, %edi, %eax
    movl %eax, %ecx
    shrl $20, %ecx
    andl $0xfc0, %ecx                   // Where in the page, in steps of 16 words.
    addl %ecx, %edi
    addl %ebx, %eax
    testl %ebx, %ebx
    jz leave_new                        // Nothing has been left yet.
    movl $16, %ecx
    repe scasl
    jne wrong
    subl $64, %edi
leave_new:
    incl %eax
    movl $16, %ecx
    rep stosl
    incl %edx
    cmpl %ebp, %edx
    jne page
    xorl %edx, %edx
    incl %ebx
    movl %ebx, %eax
    outl %eax, $0x10                    // A round has ended.
    jmp page
wrong:
    leal -4(%edi), %eax
    outl %eax, $0x11                    // The word at this address is wrong.
    hlt
guest_code_end:
    .section .note.GNU-stack, "", @progbits
