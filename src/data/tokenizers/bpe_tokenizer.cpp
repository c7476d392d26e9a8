#include <algorithm>
#include <bitset>

#include "base/error.h"
#include "base/mapped_file.h"
#include "data/byte_trie.h"
#include "data/shipped_files.h"
#include "data/text_error.h"
#include "data/tokenizer.h"
#include "data/tokenizers/bpe.h"
#include "data/tokenizers/byte_level.h"
#include "data/tokenizers/lent.h"
#include "data/utf8.h"

namespace rk {
namespace {

size_t pair_of(char a, char b) { return static_cast<size_t>(static_cast<uint8_t>(a)) << 8 | static_cast<uint8_t>(b); }

// Texts that are one id each wherever they stand; of those that begin at the same place the longest counts.
class WholeTexts {
 public:
  void add(std::string_view text, int32_t id) { entries_.push_back({text, id + 1}); }  // 0 is none in a trie
  void build() {
    if (!entries_.empty()) trie_ = ByteTrie(entries_);
    for (const ByteTrie::Entry& entry : entries_) {
      if (entry.bytes.size() == 1) single_[static_cast<uint8_t>(entry.bytes[0])] = true;
      if (entry.bytes.size() > 1) pairs_.set(pair_of(entry.bytes[0], entry.bytes[1]));
    }
  }

  struct Found {
    size_t begin = 0, length = 0;  // length 0: nothing is found, begin is the end of the text
    int32_t id = 0;
  };
  Found first_in(std::string_view text, size_t from) const {
    if (entries_.empty()) return {text.size()};
    for (size_t i = from; i < text.size(); ++i) {
      const bool may_begin = (i + 1 < text.size() && pairs_[pair_of(text[i], text[i + 1])]) || single_[static_cast<uint8_t>(text[i])];
      if (!may_begin) continue;
      const ByteTrie::Match match = trie_.longest(text.data() + i, text.data() + text.size());
      if (match.id != 0) return {i, match.length, match.id - 1};
    }
    return {text.size()};
  }

  // Calls part(text) for what lies between these texts, and whole(id) for each of them.
  template <class Part, class Whole>
  void split(std::string_view text, Part&& part, Whole&& whole) const {
    for (size_t at = 0;;) {
      const Found found = first_in(text, at);
      if (found.begin > at) part(text.substr(at, found.begin - at));
      if (found.length == 0) return;
      whole(found.id);
      at = found.begin + found.length;
    }
  }

 private:
  std::vector<ByteTrie::Entry> entries_;
  ByteTrie trie_;
  std::bitset<65536> pairs_;  // first two bytes
  std::bitset<256> single_;
};

class BpeTokenizer final : public Tokenizer {
 public:
  BpeTokenizer(TokenizerJson json, const std::string& file, std::string name)
      : name_(std::move(name)), json_(std::move(json)), merges_(json_, file), pieces_(unicode_), work_([this] {
          return std::make_unique<Work>(*this);
        }) {
    if (json_.nfc) {
      NfcNormalizer normalize(unicode_);
      std::string normal;
      for (AddedToken& token : json_.added)
        if (token.normalized) token.text = std::string(normalize(token.text, normal));
    }
    for (const AddedToken& token : json_.added) {
      (token.normalized ? normalized_ : raw_).add(token.text, token.id);
      if (token.special) specials_.push_back(token.id);
      for (size_t i = 1; i < token.text.size(); ++i) inside_.set(pair_of(token.text[i - 1], token.text[i]));
      if (token.text == "<|endoftext|>" || token.text == "<|end_of_text|>" || token.text == "</s>" || token.text == "<eos>")
        end_of_document_ = token.id;
    }
    if (end_of_document_ < 0)
      fail(cat(file, ": no added token ends a document (<|endoftext|>, <|end_of_text|>, </s> or <eos>); token data needs one"));
    raw_.build();
    normalized_.build();
  }

  void encode(std::string_view bytes, std::vector<int32_t>& ids) const override {
    if (const size_t valid = valid_utf8_prefix(bytes); valid != bytes.size()) throw TextError("invalid UTF-8", valid);
    const auto work = work_.borrow();
    IdSink sink(ids);
    const auto whole = [&](int32_t id) { sink.push(id); };
    const auto part = [&](std::string_view text) {
      pieces_.for_each(text, [&](std::string_view piece) { work->encoder.encode(piece, text.data() + text.size(), sink); });
    };
    raw_.split(
        bytes, [&](std::string_view text) { normalized_.split(json_.nfc ? work->normalize(text, work->normal) : text, part, whole); },
        whole);
  }

  // Two characters that normalisation leaves alone and no added token holds side by side, and that are of different classes, so that a
  // piece ends between them. An apostrophe may take letters with it, white space what follows it.
  size_t split_point(std::string_view bytes) const override {
    const auto begins_character = [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; };
    size_t end = bytes.size();
    while (end > 0 && !begins_character(bytes[end - 1])) --end;
    if (end == 0) return 0;
    // `next` is the character behind the place in question; the last one may be cut.
    size_t next = end - 1;
    if (!first_code_point(bytes.substr(next)).valid) {
      if (next == 0) return 0;
      while (next > 0 && !begins_character(bytes[--next])) {
      }
    }
    while (next > 0) {
      size_t before = next - 1;
      while (before > 0 && !begins_character(bytes[before])) --before;
      const CodePoint a = first_code_point(bytes.substr(before)), b = first_code_point(bytes.substr(next));
      if (a.valid && b.valid && before + static_cast<size_t>(a.n_bytes) == next && unicode_.is_steady(a.value) &&
          unicode_.is_steady(b.value) && !inside_[pair_of(bytes[next - 1], bytes[next])]) {
        const CharClass left = unicode_.class_of(a.value);
        if (left != unicode_.class_of(b.value) && left != CharClass::white_space && a.value != '\'') return next;
      }
      next = before;
    }
    return 0;
  }

  std::string_view bytes_of(int32_t id) const override {
    if (id < 0 || static_cast<size_t>(id) >= json_.tokens.size() || json_.tokens[static_cast<size_t>(id)].empty())
      fail(cat("id ", id, " is not in the vocabulary of the tokenizer ", name_));
    return json_.tokens[static_cast<size_t>(id)];
  }
  bool is_special(int32_t id) const override { return std::find(specials_.begin(), specials_.end(), id) != specials_.end(); }
  int64_t vocab_size() const override { return static_cast<int64_t>(json_.tokens.size()); }
  int32_t end_of_document() const override { return end_of_document_; }
  std::string name() const override { return name_; }

 private:
  struct Work {
    explicit Work(const BpeTokenizer& of) : normalize(of.unicode_), encoder(of.merges_) {}
    NfcNormalizer normalize;
    std::string normal;
    PieceEncoder encoder;
  };

  std::string name_;
  TokenizerJson json_;
  UnicodeTables unicode_;
  MergeTable merges_;
  BytePieces pieces_;
  WholeTexts raw_, normalized_;
  std::bitset<65536> inside_;  // pairs of bytes that stand side by side in an added token
  std::vector<int32_t> specials_;
  int32_t end_of_document_ = -1;
  mutable Lender<Work> work_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_bpe_tokenizer(const std::string& tokenizer_json_file) {
  if (tokenizer_json_file.empty()) {
    const std::string file = "20B_tokenizer.json";
    return std::make_unique<BpeTokenizer>(parse_tokenizer_json(shipped_neox_tokenizer(), file), file, "neox");
  }
  const MappedFile file(tokenizer_json_file);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.size());
  return std::make_unique<BpeTokenizer>(parse_tokenizer_json(text, tokenizer_json_file), tokenizer_json_file, tokenizer_json_file);
}

}  // namespace rk
