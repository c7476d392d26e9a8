#include "data/shipped_files.h"

#include <cstddef>

// The files' bytes become part of the program, which so can be copied alone; the assembler reads them, as compilers are slow with arrays
// of this size.
#define ROOKERY_SHIP(name, file)                       \
  asm(".section .rodata\n"                             \
      ".balign 16\n"                                   \
      ".globl " #name ", " #name "_end\n" #name        \
      ":\n"                                            \
      ".incbin \"" ROOKERY_VOCAB "/" file "\"\n" #name \
      "_end:\n"                                        \
      ".byte 0\n"                                      \
      ".previous\n");                                  \
  extern "C" const char name[];                        \
  extern "C" const char name##_end[]

ROOKERY_SHIP(rookery_world_vocab, "rwkv_vocab_v20230424.txt");
ROOKERY_SHIP(rookery_neox_tokenizer, "20B_tokenizer.json");
ROOKERY_SHIP(rookery_unicode_nfc, "unicode_nfc_tables.json");
ROOKERY_SHIP(rookery_unicode_classes, "unicode_regex_classes.json");

namespace rk {
namespace {

std::string_view between(const char* begin, const char* end) { return {begin, static_cast<size_t>(end - begin)}; }

}  // namespace

std::string_view shipped_world_vocab() { return between(rookery_world_vocab, rookery_world_vocab_end); }
std::string_view shipped_neox_tokenizer() { return between(rookery_neox_tokenizer, rookery_neox_tokenizer_end); }
std::string_view shipped_unicode_nfc() { return between(rookery_unicode_nfc, rookery_unicode_nfc_end); }
std::string_view shipped_unicode_classes() { return between(rookery_unicode_classes, rookery_unicode_classes_end); }

}  // namespace rk
