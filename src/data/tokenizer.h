// Text to token ids and back.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rk {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Any bytes in; appends ids. Thread-safe. A text that cannot be encoded (char: a character without id) is a TextError.
  virtual void encode(std::string_view bytes, std::vector<int32_t>& ids) const = 0;
  // The largest place that can be found cheaply where `bytes`, whatever follows them, may be cut: encoding both parts one after the
  // other gives the ids of the whole. 0 when there is none yet; a text longer than the longest entry has one.
  virtual size_t split_point(std::string_view bytes) const = 0;
  // The bytes of one id; an id without bytes, such as the end of a document, is an error naming it.
  virtual std::string_view bytes_of(int32_t id) const = 0;
  // The text of ids: bytes one behind the other; special ids decode to nothing, an id that does not exist is an error naming it.
  virtual std::string decode(std::span<const int32_t> ids) const;
  virtual bool is_special(int32_t id) const { return id == end_of_document(); }  // no part of a text
  virtual int64_t vocab_size() const = 0;                                        // model vocabulary size that holds all ids
  virtual int32_t end_of_document() const = 0;
  virtual std::string name() const = 0;  // "world", "neox", "char", "bytes"
};

// RWKV World (golden data §1); `vocab_file` empty = the shipped rwkv_vocab_v20230424.txt.
std::unique_ptr<Tokenizer> make_world_tokenizer(const std::string& vocab_file = {});
// Byte-level BPE of a tokenizer.json (golden data §2); "" = the shipped 20B_tokenizer.json of GPT-NeoX. Text must be UTF-8. Where the
// file asks for NFC, decoding gives the normalised text.
std::unique_ptr<Tokenizer> make_bpe_tokenizer(const std::string& tokenizer_json_file = {});
// ids 0..255 = bytes, 256 = end of document.
std::unique_ptr<Tokenizer> make_bytes_tokenizer();
// `base` with texts that stand for one id each (golden data §1.4): the text before the first place where one of them ends is encoded
// by `base`, then comes its id, and so on. Where several end, the longest counts.
std::unique_ptr<Tokenizer> make_special_tokenizer(std::shared_ptr<const Tokenizer> base, const std::map<std::string, int32_t>& specials);
// One id per Unicode code point, sorted; end-of-document id appended. vocab.json as the reference writes it ({"0": "c", ...}).
std::unique_ptr<Tokenizer> make_char_tokenizer(const std::string& vocab_json_file);
// "world", "neox", "bytes", "char:PATH/vocab.json", or a path to a tokenizer.json or a vocabulary of the world form, told apart by what
// they hold; "": default_tokenizer(); unknown: refused with the names that exist.
std::unique_ptr<Tokenizer> make_tokenizer(const std::string& spec);
// What old scripts mean without naming a tokenizer: "world", or "neox" where the environment says RWKV_VOCAB=20B.
std::string default_tokenizer();

// U+FFFD for each maximal invalid part (golden data §1.3).
std::string lossy_utf8(std::string_view bytes);

}  // namespace rk
