// tokenizer.json of Hugging Face's tokenizers: byte-level BPE, as GPT-2 and GPT-NeoX have it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rk {

struct AddedToken {
  int32_t id = 0;
  std::string text;
  bool normalized = false;  // looked for behind normalisation, not in front of it
  bool special = false;     // no part of a text that is decoded
};

struct Merge {
  int32_t left = 0, right = 0, result = 0;  // ids
};

struct TokenizerJson {
  std::vector<AddedToken> added;
  bool nfc = false;
  std::vector<std::string> tokens;  // bytes by id; empty: no such id
  std::vector<Merge> merges;        // the first are done first
};

// What the file asks for and is not supported (another model, pre-tokenizer, normaliser, ...) is refused by name, as is a damaged file.
TokenizerJson parse_tokenizer_json(std::string_view text, const std::string& file_name);

}  // namespace rk
