#include "data/world_vocab.h"

// The file's bytes become part of the program, which so can be copied alone; the assembler reads them, as compilers are slow with arrays
// of this size.
asm(".section .rodata\n"
    ".balign 16\n"
    ".globl rookery_world_vocab, rookery_world_vocab_end\n"
    "rookery_world_vocab:\n"
    ".incbin \"" ROOKERY_WORLD_VOCAB
    "\"\n"
    "rookery_world_vocab_end:\n"
    ".byte 0\n"
    ".previous\n");

extern "C" {
extern const char rookery_world_vocab[];
extern const char rookery_world_vocab_end[];
}

namespace rk {

std::string_view shipped_world_vocab() { return {rookery_world_vocab, static_cast<size_t>(rookery_world_vocab_end - rookery_world_vocab)}; }

}  // namespace rk
