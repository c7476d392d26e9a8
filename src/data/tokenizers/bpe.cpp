#include "data/tokenizers/bpe.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>

#include "base/error.h"

namespace rk {
namespace {

constexpr uint32_t nothing = ~uint32_t{0};
constexpr uint32_t kept_symbols = 1 << 16;  // work space of a longer piece is given back

uint64_t mixed(uint64_t a, uint64_t b) {
  const uint64_t h = (a ^ 0x2545F4914F6CDD1Du) * 0x9E3779B97F4A7C15u ^ std::rotl(b, 29) * 0xD6E8FEB86659FD93u;
  return (h ^ h >> 32) * 0x9E3779B97F4A7C15u;
}

}  // namespace

MergeTable::MergeTable(const TokenizerJson& vocabulary, const std::string& file_name) {
  n_ids_ = static_cast<int64_t>(vocabulary.tokens.size());
  std::fill(std::begin(id_of_byte_), std::end(id_of_byte_), -1);
  std::vector<bool> is_added(vocabulary.tokens.size());
  for (const AddedToken& token : vocabulary.added) is_added[static_cast<size_t>(token.id)] = true;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& bytes = vocabulary.tokens[id];
    if (bytes.size() == 1 && !is_added[id]) id_of_byte_[static_cast<uint8_t>(bytes[0])] = static_cast<int32_t>(id);
  }
  for (int b = 0; b < 256; ++b) {
    const bool in_utf8 = b != 0xC0 && b != 0xC1 && b < 0xF5;
    if (in_utf8 && id_of_byte_[b] < 0) fail(cat(file_name, ": the single byte ", b, " has no token; every byte of UTF-8 needs one"));
  }
  entries_.resize(std::bit_ceil(4 * vocabulary.merges.size() + 16) / 2);
  mask_ = entries_.size() - 1;
  for (size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
    const Merge& merge = vocabulary.merges[rank];
    size_t i = place_of(merge.left, merge.right);
    while (entries_[i].rank != no_rank && (entries_[i].left != merge.left || entries_[i].right != merge.right)) i = (i + 1) & mask_;
    entries_[i] = {merge.left, merge.right, static_cast<uint32_t>(rank), merge.result};
  }
}

PieceEncoder::PieceEncoder(const MergeTable& merges) : merges_(merges), long_(size_t{1} << long_bits) {
  if (merges.n_ids() <= 0x10000) {
    small_.emplace();
  } else {
    wide_.emplace();
  }
}

std::span<const int32_t> PieceEncoder::ids_of(std::string_view piece) {
  if (piece.size() > long_bytes) {
    merge(piece);
    return merged_;
  }
  uint64_t hash = piece.size();
  for (size_t i = 0; i < piece.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, piece.data() + i, std::min<size_t>(8, piece.size() - i));
    hash = mixed(hash, word);
  }
  LongSlot& slot = long_[hash >> (64 - long_bits)];
  if (slot.n_bytes == piece.size() && std::memcmp(slot.bytes, piece.data(), piece.size()) == 0) return {slot.ids, slot.n_ids};
  merge(piece);
  if (merged_.size() > long_ids) return merged_;
  slot.n_bytes = static_cast<uint16_t>(piece.size());
  slot.n_ids = static_cast<uint16_t>(merged_.size());
  std::memcpy(slot.bytes, piece.data(), piece.size());
  std::copy(merged_.begin(), merged_.end(), slot.ids);
  return merged_;
}

// Into the heap, if the symbol at `at` can be joined with the next one.
void PieceEncoder::offer(uint32_t at) {
  Symbol& symbol = symbols_[at];
  symbol.rank = MergeTable::no_rank;
  if (symbol.next == nothing) return;
  const MergeTable::Joined joined = merges_.join(symbol.id, symbols_[symbol.next].id);
  symbol.rank = joined.rank;
  symbol.joined = joined.id;
  if (joined.rank == MergeTable::no_rank) return;
  heap_.push_back(uint64_t{joined.rank} << 32 | at);
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
}

void PieceEncoder::merge(std::string_view piece) {
  require(piece.size() < nothing, "places in a piece have 32 bits");
  const uint32_t n = static_cast<uint32_t>(piece.size());
  symbols_.clear();
  heap_.clear();
  merged_.clear();
  for (uint32_t i = 0; i < n; ++i) {
    symbols_.push_back({merges_.id_of_byte(static_cast<uint8_t>(piece[i])), MergeTable::no_rank, i == 0 ? nothing : i - 1,
                        i + 1 == n ? nothing : i + 1, 0});
  }
  for (uint32_t i = 0; i < n; ++i) offer(i);
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    const uint32_t at = static_cast<uint32_t>(heap_.back()), rank = static_cast<uint32_t>(heap_.back() >> 32);
    heap_.pop_back();
    Symbol& symbol = symbols_[at];
    if (symbol.id < 0 || symbol.rank != rank) continue;  // one of the two was joined in the meantime
    Symbol& gone = symbols_[symbol.next];
    symbol.id = symbol.joined;
    symbol.next = gone.next;
    gone.id = -1;
    if (symbol.next != nothing) symbols_[symbol.next].before = at;
    offer(at);
    if (symbol.before != nothing) offer(symbol.before);
  }
  for (uint32_t i = 0; i != nothing && i < n; i = symbols_[i].next) merged_.push_back(symbols_[i].id);
  if (n > kept_symbols) std::vector<Symbol>().swap(symbols_), std::vector<uint64_t>().swap(heap_);
}

}  // namespace rk
