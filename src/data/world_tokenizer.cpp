#include <algorithm>
#include <bitset>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "base/mapped_file.h"
#include "data/byte_trie.h"
#include "data/shipped_files.h"
#include "data/tokenizer.h"
#include "data/world_vocab.h"

namespace rk {
namespace {

// At every place the longest entry that begins there (golden data §1.2).
class WorldTokenizer final : public Tokenizer {
 public:
  WorldTokenizer(const std::vector<VocabEntry>& entries, const std::string& file) {
    int32_t largest = 0;
    for (const VocabEntry& entry : entries) largest = std::max(largest, entry.id);
    begin_of_.resize(static_cast<size_t>(largest) + 2);
    for (const VocabEntry& entry : entries) begin_of_[static_cast<size_t>(entry.id) + 1] = entry.bytes.size();
    for (size_t i = 1; i < begin_of_.size(); ++i) begin_of_[i] += begin_of_[i - 1];
    bytes_.resize(begin_of_.back());
    for (const VocabEntry& entry : entries) {
      std::copy(entry.bytes.begin(), entry.bytes.end(), bytes_.begin() + static_cast<ptrdiff_t>(begin_of_[static_cast<size_t>(entry.id)]));
      longest_ = std::max(longest_, entry.bytes.size());
      for (size_t i = 1; i < entry.bytes.size(); ++i) adjacent_.set(pair_of(entry.bytes[i - 1], entry.bytes[i]));
    }
    std::vector<ByteTrie::Entry> words;
    for (const VocabEntry& entry : entries) words.push_back({entry.bytes, entry.id});
    trie_ = ByteTrie(std::move(words));
    for (int b = 0; b < 256; ++b) {
      const char c = static_cast<char>(b);
      if (trie_.longest(&c, &c + 1).id == 0) fail(cat(file, ": the single byte ", b, " has no entry; every byte needs one"));
    }
  }

  void encode(std::string_view bytes, std::vector<int32_t>& ids) const override {
    const char* const end = bytes.data() + bytes.size();
    for (const char* at = bytes.data(); at != end;) {
      const ByteTrie::Match match = trie_.longest(at, end);
      ids.push_back(match.id);
      at += match.length;
    }
  }

  size_t split_point(std::string_view bytes) const override {
    for (size_t i = bytes.size(); i-- > 1;) {
      if (!adjacent_[pair_of(bytes[i - 1], bytes[i])]) return i;  // no entry reaches from one side to the other
    }
    const char* const end = bytes.data() + bytes.size();
    const char* at = bytes.data();
    while (static_cast<size_t>(end - at) >= longest_) at += trie_.longest(at, end).length;  // what follows cannot change these
    return static_cast<size_t>(at - bytes.data());
  }

  std::string_view bytes_of(int32_t id) const override {
    const size_t i = static_cast<size_t>(id);
    if (id < 0 || i + 1 >= begin_of_.size() || begin_of_[i] == begin_of_[i + 1]) fail(cat("id ", id, " is not in the world vocabulary"));
    return std::string_view(bytes_).substr(begin_of_[i], begin_of_[i + 1] - begin_of_[i]);
  }

  // Models round up: 65530 ids are a vocabulary of 65536.
  int64_t vocab_size() const override { return static_cast<int64_t>((begin_of_.size() - 1 + 63) / 64 * 64); }
  int32_t end_of_document() const override { return 0; }
  std::string name() const override { return "world"; }

 private:
  static size_t pair_of(char a, char b) { return static_cast<size_t>(static_cast<uint8_t>(a)) << 8 | static_cast<uint8_t>(b); }

  ByteTrie trie_;
  std::string bytes_;             // of all entries in the order of their ids
  std::vector<size_t> begin_of_;  // in bytes_, by id, and the end of the last
  size_t longest_ = 0;
  std::bitset<65536> adjacent_;  // pairs of bytes that stand side by side in an entry
};

}  // namespace

std::unique_ptr<Tokenizer> make_world_tokenizer(const std::string& vocab_file) {
  if (vocab_file.empty()) {
    const std::string name = "rwkv_vocab_v20230424.txt";
    return std::make_unique<WorldTokenizer>(parse_world_vocab(shipped_world_vocab(), name), name);
  }
  const MappedFile file(vocab_file);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.size());
  if (text.empty()) fail(cat(vocab_file, ": empty; a vocabulary file has one `ID 'TEXT' LENGTH` a line"));
  return std::make_unique<WorldTokenizer>(parse_world_vocab(text, vocab_file), vocab_file);
}

}  // namespace rk
