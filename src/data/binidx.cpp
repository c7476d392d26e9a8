#include "data/binidx.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "base/error.h"

namespace rk {
namespace binidx {
namespace {

struct Code {
  uint8_t code;
  DType dtype;
};

// 6 and 7 are floating point, and differ between tools.
constexpr Code codes[] = {{1, DType::u8}, {2, DType::i8}, {3, DType::i16}, {4, DType::i32}, {5, DType::i64}, {8, DType::u16}};

}  // namespace

std::optional<DType> dtype_of_code(uint8_t code) {
  for (const Code& c : codes) {
    if (c.code == code) return c.dtype;
  }
  return std::nullopt;
}

uint8_t code_of_dtype(DType dtype) {
  for (const Code& c : codes) {
    if (c.dtype == dtype) return c.code;
  }
  require(false, "tokens are stored as whole numbers");
  return 0;
}

}  // namespace binidx

namespace {

// The arrays of the index are not aligned.
template <class T>
T value_at(std::span<const std::byte> bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

[[noreturn]] void refuse(const MappedFile& file, size_t offset, const std::string& reason, Where at = Where::here()) {
  fail(cat(file.path(), ": byte ", offset, ": ", reason), ExitCode::bad_input, at);
}

// Every token as int32; answers whether all were in [0, limit).
template <class T>
bool convert(const std::byte* from, std::span<int32_t> out, int64_t limit) {
  bool good = true;
  for (size_t i = 0; i < out.size(); ++i) {
    T token;
    std::memcpy(&token, from + i * sizeof(T), sizeof token);
    good &= static_cast<uint64_t>(static_cast<int64_t>(token)) < static_cast<uint64_t>(limit);
    out[i] = static_cast<int32_t>(token);
  }
  return good;
}

int64_t token_at(const std::byte* from, DType dtype) {
  const auto get = [&]<class T>(T token) {
    std::memcpy(&token, from, sizeof token);
    return static_cast<int64_t>(token);
  };
  switch (dtype) {
    case DType::u8: return get(uint8_t{});
    case DType::i8: return get(int8_t{});
    case DType::i16: return get(int16_t{});
    case DType::u16: return get(uint16_t{});
    case DType::i32: return get(int32_t{});
    default: return get(int64_t{});
  }
}

bool convert_as(DType dtype, const std::byte* from, std::span<int32_t> out, int64_t limit) {
  switch (dtype) {
    case DType::u8: return convert<uint8_t>(from, out, limit);
    case DType::i8: return convert<int8_t>(from, out, limit);
    case DType::i16: return convert<int16_t>(from, out, limit);
    case DType::u16: return convert<uint16_t>(from, out, limit);
    case DType::i32: return convert<int32_t>(from, out, limit);
    default: return convert<int64_t>(from, out, limit);
  }
}

}  // namespace

Binidx::Binidx(const std::string& prefix) : prefix_(prefix), bin_(prefix + ".bin"), idx_(prefix + ".idx") {
  read_header();
  check_sizes();
  check_pointers();
  check_documents();
}

// Checks counts against the file's size before anything is multiplied.
void Binidx::read_header() {
  const std::span<const std::byte> idx = idx_.bytes();
  const auto starts_with = [&](std::string_view text) {
    return idx.size() >= text.size() && std::memcmp(idx.data(), text.data(), text.size()) == 0;
  };
  if (starts_with("TNTIDX")) refuse(idx_, 0, "an old fairseq index (TNTIDX), which is not supported; convert the data again");
  if (!starts_with({binidx::magic, sizeof binidx::magic})) refuse(idx_, 0, "not an index of token data (it does not begin with MMIDIDX)");
  if (idx.size() < 17) refuse(idx_, 9, "the file ends inside the version");
  if (const auto version = value_at<uint64_t>(idx, 9); version != binidx::version)
    refuse(idx_, 9, cat("version ", version, "; only version 1 is known"));
  if (idx.size() < 18) refuse(idx_, 17, "the file ends before the type of the tokens");
  const auto code = value_at<uint8_t>(idx, 17);
  const std::optional<DType> dtype = binidx::dtype_of_code(code);
  if (!dtype) {
    refuse(
        idx_, 17,
        cat("type code ", int{code}, " is not a type of tokens (1 u8, 2 i8, 3 i16, 4 i32, 5 i64, 8 u16 are; 6 and 7 are floating point)"));
  }
  dtype_ = *dtype;
  n_tokens_ = static_cast<int64_t>(bin_.size() / size_of(dtype_));
  if (idx.size() < 26) refuse(idx_, 18, "the file ends inside the number of sequences");
  if (idx.size() < binidx::sizes_at) refuse(idx_, 26, "the file ends inside the number of documents");

  const uint64_t sequences = value_at<uint64_t>(idx, 18), documents = value_at<uint64_t>(idx, 26);
  // A count beyond both files' sizes is itself wrong; a smaller one means that the index was cut.
  const uint64_t plausible = idx.size() + static_cast<uint64_t>(n_tokens_);
  if (sequences > plausible) refuse(idx_, 18, cat(sequences, " sequences are more than the file can hold"));
  if (documents > plausible) refuse(idx_, 26, cat(documents, " document borders are more than the file can hold"));
  if (documents == 0) refuse(idx_, 26, "no document borders; at least the leading 0 is needed");
  pointers_at_ = binidx::sizes_at + 4 * sequences;
  if (idx.size() < pointers_at_) refuse(idx_, binidx::sizes_at, "the file ends inside the sizes of the sequences");
  doc_idx_at_ = pointers_at_ + 8 * sequences;
  if (idx.size() < doc_idx_at_) refuse(idx_, pointers_at_, "the file ends inside the pointers of the sequences");
  end_at_ = doc_idx_at_ + 8 * documents;
  if (idx.size() < end_at_) refuse(idx_, doc_idx_at_, "the file ends inside the document borders");
  n_sequences_ = static_cast<int64_t>(sequences);
  n_documents_ = static_cast<int64_t>(documents) - 1;
  const size_t trailing = idx.size() - end_at_;
  if (trailing != 0 && trailing != sequences) {
    warnings_.push_back(cat(idx_.path(), ": byte ", end_at_, ": ", trailing, " bytes after the index are ignored"));
  }
}

// Loops without branches first: an index of 100 million documents is checked in a fraction of a second. Only where one finds something
// wrong, a slow one looks for the place.
void Binidx::check_sizes() {
  const std::byte* sizes = idx_.bytes().data() + binidx::sizes_at;
  int64_t sum = 0;  // cannot overflow, as the count of sizes is bounded by the file
  int32_t signs = 0;
  for (int64_t i = 0; i < n_sequences_; ++i) {
    int32_t size;
    std::memcpy(&size, sizes + 4 * i, sizeof size);
    sum += size;
    signs |= size;
  }
  for (int64_t i = 0; signs < 0 && i < n_sequences_; ++i) {
    const int64_t size = size_of_sequence(i);
    if (size < 0) refuse(idx_, binidx::sizes_at + 4 * i, cat("sequence ", i, " has ", size, " tokens"));
  }
  n_indexed_ = sum;
  const int64_t item = static_cast<int64_t>(size_of(dtype_)), indexed = sum * item, n_bytes = static_cast<int64_t>(bin_.size());
  if (n_bytes < indexed) refuse(bin_, bin_.size(), cat("the file ends here, but the index names ", sum, " tokens, ", indexed, " bytes"));
  if (n_bytes > indexed) {
    warnings_.push_back(cat(bin_.path(), ": byte ", indexed, ": ", n_bytes - indexed, " bytes more than the index names; ",
                            n_bytes % item == 0 ? "they count as data" : "whole tokens among them count as data"));
  }
}

void Binidx::check_pointers() {
  const int64_t item = static_cast<int64_t>(size_of(dtype_)), n_bytes = static_cast<int64_t>(bin_.size());
  const std::byte* sizes = idx_.bytes().data() + binidx::sizes_at;
  const std::byte* pointers = idx_.bytes().data() + pointers_at_;
  int64_t running = 0, difference = 0;
  for (int64_t i = 0; i < n_sequences_; ++i) {
    int32_t size;
    int64_t pointer;
    std::memcpy(&size, sizes + 4 * i, sizeof size);
    std::memcpy(&pointer, pointers + 8 * i, sizeof pointer);
    difference |= pointer ^ running;
    running += size * item;
  }
  if (difference == 0) return;  // the sizes have been compared with the .bin file
  running = 0;
  for (int64_t i = 0; i < n_sequences_; ++i) {
    const int64_t pointer = byte_pointer(i), size = size_of_sequence(i);
    const size_t at = pointers_at_ + 8 * i;
    if (pointer < 0) refuse(idx_, at, cat("the pointer of sequence ", i, " is negative (", pointer, ")"));
    if (pointer % item != 0) refuse(idx_, at, cat("the pointer of sequence ", i, ", ", pointer, ", is not a multiple of ", item));
    if (pointer > n_bytes || size * item > n_bytes - pointer) {
      refuse(idx_, at,
             cat("sequence ", i, " (byte ", pointer, ", ", size, " tokens) ends behind the ", n_bytes, " bytes of ", bin_.path()));
    }
    if (out_of_order_ < 0 && pointer != running) {
      out_of_order_ = i;
      warnings_.push_back(cat(idx_.path(), ": byte ", at, ": the pointer of sequence ", i, " is not the sum of the sizes before it; ",
                              "samples are taken from the tokens in the order of the .bin file"));
    }
    running += size * item;
  }
}

void Binidx::check_documents() {
  const std::byte* borders = idx_.bytes().data() + doc_idx_at_;
  int64_t difference = n_documents_ ^ n_sequences_;
  for (int64_t d = 0; d <= n_documents_; ++d) {
    int64_t begin;
    std::memcpy(&begin, borders + 8 * d, sizeof begin);
    difference |= begin ^ d;
  }
  one_sequence_each_ = difference == 0;
  if (one_sequence_each_) return;
  int64_t last = 0;
  for (int64_t d = 0; d <= n_documents_; ++d) {
    const int64_t begin = document_begin(d);
    const size_t at = doc_idx_at_ + 8 * d;
    if (d == 0 && begin != 0) refuse(idx_, at, cat("the first document begins at sequence ", begin, " instead of 0"));
    if (begin < last) refuse(idx_, at, cat("document ", d, " begins at sequence ", begin, ", before the one ahead of it"));
    last = begin;
  }
  if (last != n_sequences_)
    refuse(idx_, doc_idx_at_ + 8 * n_documents_, cat("the last document ends at sequence ", last, ", but there are ", n_sequences_));
}

void Binidx::document_offsets(int64_t first, std::span<int64_t> out) const {
  if (out_of_order_ >= 0) {
    refuse(idx_, pointers_at_ + 8 * static_cast<size_t>(out_of_order_),
           cat("the pointer of sequence ", out_of_order_, " is not the sum of the sizes before it, so its documents cannot be told apart; ",
               "make the files again"));
  }
  const int shift = std::countr_zero(size_of(dtype_));  // a division would be half of the time
  const std::byte* pointers = idx_.bytes().data() + pointers_at_;
  if (one_sequence_each_) {
    const size_t n = static_cast<size_t>(std::clamp<int64_t>(n_sequences_ - first, 0, std::ssize(out)));
    if (n > 0) std::memcpy(out.data(), pointers + 8 * first, 8 * n);
    for (size_t i = 0; i < n; ++i) out[i] >>= shift;
    std::fill(out.begin() + static_cast<int64_t>(n), out.end(), n_indexed_);
    return;
  }
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t sequence = document_begin(first + static_cast<int64_t>(i));
    out[i] = sequence == n_sequences_ ? n_indexed_ : byte_pointer(sequence) >> shift;
  }
}

int64_t Binidx::size_of_sequence(int64_t i) const { return value_at<int32_t>(idx_.bytes(), binidx::sizes_at + 4 * i); }
int64_t Binidx::byte_pointer(int64_t i) const { return value_at<int64_t>(idx_.bytes(), pointers_at_ + 8 * i); }
int64_t Binidx::document_begin(int64_t d) const { return value_at<int64_t>(idx_.bytes(), doc_idx_at_ + 8 * d); }

bool Binidx::has_modes() const { return n_sequences_ != 0 && idx_.size() - end_at_ == static_cast<size_t>(n_sequences_); }

int8_t Binidx::mode_of_sequence(int64_t i) const {
  require(has_modes(), "modes are read where there are some");
  return value_at<int8_t>(idx_.bytes(), end_at_ + static_cast<size_t>(i));
}

void Binidx::read(int64_t seq, int64_t offset, std::span<int32_t> out, int64_t vocab) const {
  if (seq < 0 || seq >= n_sequences_) fail(cat(idx_.path(), ": there is no sequence ", seq, "; it has ", n_sequences_));
  const int64_t begin = byte_pointer(seq), item = static_cast<int64_t>(size_of(dtype_));
  if (offset < 0 || offset > n_tokens_) fail(cat(bin_.path(), ": there is no token ", offset, " in its ", n_tokens_, " tokens"));
  read_bytes(begin + offset * item, out, vocab);
}

void Binidx::read_flat(int64_t offset, std::span<int32_t> out, int64_t vocab) const {
  if (offset < 0 || offset > n_tokens_) fail(cat(bin_.path(), ": there is no token ", offset, " in its ", n_tokens_, " tokens"));
  read_bytes(offset * static_cast<int64_t>(size_of(dtype_)), out, vocab);
}

void Binidx::read_bytes(int64_t begin, std::span<int32_t> out, int64_t vocab) const {
  const int64_t item = static_cast<int64_t>(size_of(dtype_));
  const int64_t first = begin / item, n = static_cast<int64_t>(out.size());
  if (first > n_tokens_ || n > n_tokens_ - first) {
    fail(cat(bin_.path(), ": byte ", begin, ": ", n, " tokens from token ", first, " on end behind its ", n_tokens_, " tokens"));
  }
  if (n == 0) return;
  const int64_t limit = vocab > 0 ? vocab : int64_t{std::numeric_limits<int32_t>::max()} + 1;
  const std::byte* from = bin_.bytes().data() + begin;
  if (convert_as(dtype_, from, out, limit)) return;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t token = token_at(from + i * item, dtype_);
    if (token >= 0 && token < limit) continue;
    refuse(bin_, static_cast<size_t>(begin + i * item),
           token < 0 ? cat("token ", token, " is negative")
                     : cat("token ", token, " is outside the vocabulary of ", limit, "; was the data made with another tokenizer?"));
  }
}

int64_t Binidx::largest_token() const {
  std::vector<int32_t> tokens(1 << 16);
  int64_t largest = -1;
  for (int64_t at = 0; at < n_tokens_;) {
    const std::span<int32_t> part = std::span(tokens).first(static_cast<size_t>(std::min<int64_t>(n_tokens_ - at, 1 << 16)));
    read_flat(at, part, 0);
    largest = std::max<int64_t>(largest, *std::max_element(part.begin(), part.end()));
    at += static_cast<int64_t>(part.size());
  }
  return largest;
}

}  // namespace rk
