// A tokenizer.json, and the tokenizer that it makes.
#include <vector>

#include "data/tokenizer.h"
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = rk::fuzz::file_of("tokenizer.json", rk::fuzz::text_of(data, size));
  rk::fuzz::accept_or_refuse([&] {
    const auto tokenizer = rk::make_bpe_tokenizer(path);
    std::vector<int32_t> ids;
    for (const std::string_view text : {"low lower lowest", " a\n\n b  12'll caf\u00e9 e\u0301", "<|endoftext|>", "\xff"})
      rk::fuzz::accept_or_refuse([&] {
        ids.clear();
        tokenizer->split_point(text);
        tokenizer->encode(text, ids);
        tokenizer->decode(ids);
      });
    for (int32_t id : {-1, 0, 300, static_cast<int32_t>(tokenizer->vocab_size())})
      rk::fuzz::accept_or_refuse([&] { tokenizer->bytes_of(id); });
  });
  return 0;
}
