// Texts of a .jsonl file, line by line.
#include "data/json_text.h"
#include "data/text_blocks.h"
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string unescaped;
  rk::for_each_line(rk::fuzz::text_of(data, size), [&](std::string_view line, size_t, int64_t) {
    rk::fuzz::accept_or_refuse([&] { rk::json_text(rk::strip_white_space(line), "text", unescaped); });
  });
  return 0;
}
