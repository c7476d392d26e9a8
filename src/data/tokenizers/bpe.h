// Byte-pair encoding of pieces of text (Sennrich et al. 2016): neighbours are joined, the pair of the lowest rank first.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "data/tokenizers/id_sink.h"
#include "data/tokenizers/piece_cache.h"
#include "data/tokenizers/tokenizer_json.h"

namespace rk {

// Which pairs are joined; read by all threads.
class MergeTable {
 public:
  explicit MergeTable(const TokenizerJson& vocabulary, const std::string& file_name);

  static constexpr uint32_t no_rank = ~uint32_t{0};
  struct Joined {
    uint32_t rank = no_rank;
    int32_t id = 0;
  };
  Joined join(int32_t left, int32_t right) const {
    for (size_t i = place_of(left, right);; i = (i + 1) & mask_) {
      const Entry& e = entries_[i];
      if (e.left == left && e.right == right) return {e.rank, e.id};
      if (e.rank == no_rank) return {};
    }
  }
  int32_t id_of_byte(uint8_t byte) const { return id_of_byte_[byte]; }
  int64_t n_ids() const { return n_ids_; }

 private:
  struct Entry {
    int32_t left = -1, right = -1;
    uint32_t rank = no_rank;
    int32_t id = 0;
  };
  size_t place_of(int32_t left, int32_t right) const {
    const uint64_t key = static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
    return (key * 0x9E3779B97F4A7C15u >> 32) & mask_;
  }
  int32_t id_of_byte_[256];
  int64_t n_ids_ = 0;
  std::vector<Entry> entries_;  // open addressing
  size_t mask_ = 0;
};

// Ids of pieces, for one thread at a time: most pieces of a text were seen before, and are looked up as a whole. Nothing is allocated for a
// piece, unless it is longer than all before. Time: O(n log n) of a piece's bytes.
class PieceEncoder {
 public:
  explicit PieceEncoder(const MergeTable& merges);
  // The piece is part of a text that goes on up to `end`.
  void encode(std::string_view piece, const char* end, IdSink& ids) {
    if (piece.size() > short_bytes) return ids.append(ids_of(piece));
    if (small_) return encode_short(*small_, piece, end, ids);
    encode_short(*wide_, piece, end, ids);
  }

 private:
  static constexpr size_t short_bytes = PieceCache<int32_t>::max_bytes, long_bytes = 60, long_ids = 16, long_bits = 12;
  struct LongSlot {
    uint16_t n_bytes = 0, n_ids = 0;
    char bytes[long_bytes];
    int32_t ids[long_ids];
  };

  template <class Cache>
  void encode_short(Cache& cache, std::string_view piece, const char* end, IdSink& ids) {
    const auto key = end - piece.data() >= 16 ? Cache::key_of_first(piece.data(), piece.size()) : Cache::key_of(piece);
    if (const auto* known = cache.find(key)) return ids.take(known->put(ids.room()));
    const std::span<const int32_t> found = ids_of(piece);
    cache.insert(key, found);
    ids.append(found);
  }
  std::span<const int32_t> ids_of(std::string_view piece);  // valid until the next call
  void merge(std::string_view piece);                       // into merged_
  void offer(uint32_t at);

  const MergeTable& merges_;
  std::optional<PieceCache<uint16_t>> small_;  // where all ids fit
  std::optional<PieceCache<int32_t>> wide_;    // else
  std::vector<LongSlot> long_;

  // The piece that is being merged: symbols in a doubly linked list, joinable pairs in a heap by rank, then by place.
  struct Symbol {
    int32_t id;
    uint32_t rank;  // of this and the next one
    uint32_t before, next;
    int32_t joined;  // id of both
  };
  std::vector<Symbol> symbols_;
  std::vector<uint64_t> heap_;
  std::vector<int32_t> merged_;
};

}  // namespace rk
