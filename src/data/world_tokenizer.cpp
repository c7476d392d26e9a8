#include <algorithm>
#include <bit>
#include <bitset>
#include <cstring>
#include <fstream>
#include <sstream>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/error.h"
#include "base/mapped_file.h"
#include "data/byte_trie.h"
#include "data/shipped_files.h"
#include "data/tokenizer.h"
#include "data/tokenizers/id_sink.h"
#include "data/tokenizers/lent.h"
#include "data/tokenizers/piece_cache.h"
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
    IdSink sink(ids);
    const char* at = bytes.data();
    const char* const end = at + bytes.size();
    if (bytes.size() >= worth_a_cache && begin_of_.size() <= 0x10000) at = encode_words(at, end, sink);
    encode_plainly(at, end, sink);
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
  using Words = PieceCache<uint16_t>;
  static constexpr size_t worth_a_cache = 64;

  void encode_plainly(const char* at, const char* end, IdSink& sink) const {
    while (at != end) {
      const ByteTrie::Match match = trie_.longest(at, end);
      sink.push(match.id);
      at += match.length;
    }
  }

  // No entry reaches from a word to the blank or line break behind it, so that what is between two of these always gives the same ids.
  // Returns a place less than 16 bytes in front of the end.
  const char* encode_words(const char* at, const char* end, IdSink& sink) const {
    const auto words = words_.borrow();
    while (end - at >= 16) {
      const size_t n = first_gap(at);
      if (n == 16 || adjacent_[pair_of(at[n - 1], at[n])]) {  // a long word, a script without blanks, indentation
        const ByteTrie::Match match = trie_.longest(at, end);
        sink.push(match.id);
        at += match.length;
        continue;
      }
      int32_t* const room = sink.room();
      const auto key = Words::key_of_first(at, n);
      if (const Words::Slot* word = words->find(key)) {
        sink.take(word->put(room));
      } else {
        size_t n_ids = 0;
        for (size_t i = 0; i < n;) {
          const ByteTrie::Match match = trie_.longest(at + i, at + n);
          room[n_ids++] = match.id;
          i += match.length;
        }
        words->insert(key, {room, n_ids});
        sink.take(n_ids);
      }
      at += n;
    }
    return at;
  }

  // The first blank or line break of 16 bytes behind the first byte; 16: none.
  static size_t first_gap(const char* at) {
#ifdef __SSE2__
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i gaps = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(' ')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\n')));
    const uint32_t behind_first = static_cast<uint32_t>(_mm_movemask_epi8(gaps)) & 0xFFFEu;
    return static_cast<size_t>(std::countr_zero(behind_first | 0x10000u));
#else
    size_t n = 1;
    while (n < 16 && at[n] != ' ' && at[n] != '\n') ++n;
    return n;
#endif
  }

  static size_t pair_of(char a, char b) { return static_cast<size_t>(static_cast<uint8_t>(a)) << 8 | static_cast<uint8_t>(b); }

  ByteTrie trie_;
  std::string bytes_;             // of all entries in the order of their ids
  std::vector<size_t> begin_of_;  // in bytes_, by id, and the end of the last
  size_t longest_ = 0;
  std::bitset<65536> adjacent_;  // pairs of bytes that stand side by side in an entry
  mutable Lender<Words> words_{[] { return std::make_unique<Words>(); }};
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
