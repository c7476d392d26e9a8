// The vocabulary of a text of characters: code points in the order of their ids. RWKV-LM keeps it as vocab.json, {"0": "c", ...}.
#pragma once
#include <bitset>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer.h"

namespace rk {

// Which characters a text holds.
class CharacterSet {
 public:
  void add(std::string_view text);  // invalid UTF-8 is a TextError
  void add(std::span<const char32_t> characters);
  void merge(const CharacterSet& other) { seen_ |= other.seen_; }
  std::vector<char32_t> sorted() const;

 private:
  std::bitset<0x110000> seen_;
};

// As Python's json.dumps(..., ensure_ascii=False) writes it. The id behind the last character ends a document and has an empty text;
// it is left out where the text is one document (end_of_document false).
std::string char_vocab_json(const std::vector<char32_t>& characters, bool end_of_document = true);
// UTF-8, or UTF-16 with a byte order mark as older tools write; with or without the id that ends documents.
std::vector<char32_t> read_char_vocab(const std::string& file);

// `name` stands for the vocabulary in messages.
std::unique_ptr<Tokenizer> make_char_tokenizer(const std::vector<char32_t>& characters, const std::string& name);

}  // namespace rk
