#include "data/binidx_writer.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/error.h"

namespace rk {
namespace {

constexpr int64_t block = 1 << 16;  // entries handled at a time

template <class T>
void pack(std::span<const int32_t> tokens, std::vector<std::byte>& out) {
  out.resize(tokens.size() * sizeof(T));
  for (size_t i = 0; i < tokens.size(); ++i) {
    const T value = static_cast<T>(tokens[i]);
    std::memcpy(out.data() + i * sizeof(T), &value, sizeof(T));
  }
}

void pack_as(DType dtype, std::span<const int32_t> tokens, std::vector<std::byte>& out) {
  switch (dtype) {
    case DType::u8: return pack<uint8_t>(tokens, out);
    case DType::i8: return pack<int8_t>(tokens, out);
    case DType::i16: return pack<int16_t>(tokens, out);
    case DType::u16: return pack<uint16_t>(tokens, out);
    case DType::i32: return pack<int32_t>(tokens, out);
    default: return pack<int64_t>(tokens, out);
  }
}

int64_t bytes_of_index(const BinidxProgress& p) { return static_cast<int64_t>(binidx::sizes_at) + 4 * p.n_sequences; }

}  // namespace

BinidxWriter::BinidxWriter(const BinidxWriterArgs& args, const BinidxProgress& from)
    : bin_(args.prefix + ".bin", from.n_tokens * static_cast<int64_t>(size_of(args.dtype))),
      idx_(args.prefix + ".idx", from.n_tokens + from.n_documents == 0 ? 0 : bytes_of_index(from)),
      dtype_(args.dtype),
      with_modes_(args.modes),
      longest_sequence_(args.longest_sequence),
      at_(from) {
  binidx::code_of_dtype(dtype_);
  if (idx_.size() > 0) return;
  const std::vector<std::byte> header(binidx::sizes_at);  // the counts are known at the end
  idx_.write(header.data(), header.size());
}

bool BinidxWriter::can_go_on(const BinidxWriterArgs& args, const BinidxProgress& progress) {
  const auto has = [](const std::string& path, int64_t n_bytes) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    return !error && size >= static_cast<uintmax_t>(n_bytes);
  };
  return !args.modes && has(args.prefix + ".bin.tmp", progress.n_tokens * static_cast<int64_t>(size_of(args.dtype))) &&
         has(args.prefix + ".idx.tmp", bytes_of_index(progress));
}

void BinidxWriter::append(std::span<const int32_t> tokens) {
  while (!tokens.empty()) {
    if (at_.open_tokens == longest_sequence_) end_sequence();
    const size_t n = std::min({tokens.size(), static_cast<size_t>(longest_sequence_ - at_.open_tokens), static_cast<size_t>(block)});
    pack_as(dtype_, tokens.first(n), packed_);
    bin_.write(packed_.data(), packed_.size());
    at_.open_tokens += static_cast<int64_t>(n);
    at_.n_tokens += static_cast<int64_t>(n);
    tokens = tokens.subspan(n);
  }
}

void BinidxWriter::end_sequence(int8_t mode) {
  const int32_t size = static_cast<int32_t>(at_.open_tokens);
  idx_.write(&size, sizeof size);
  if (with_modes_) modes_.push_back(mode);
  at_.open_tokens = 0;
  ++at_.n_sequences;
}

void BinidxWriter::end_document() {
  require(at_.open_tokens == 0, "a document ends with a whole sequence");
  ++at_.n_documents;
  const BinidxProgress::Run& run = at_.runs.back();
  if (run.sequence + (at_.n_documents - run.document) != at_.n_sequences) at_.runs.push_back({at_.n_documents, at_.n_sequences});
  at_.document_tokens = at_.n_tokens;
  at_.document_sequences = at_.n_sequences;
}

void BinidxWriter::drop_open_document() {
  require(!with_modes_, "documents with modes are written whole");
  at_.n_tokens = at_.document_tokens;
  at_.n_sequences = at_.document_sequences;
  at_.open_tokens = 0;
  bin_.truncate(at_.n_tokens * static_cast<int64_t>(size_of(dtype_)));
  idx_.truncate(bytes_of_index(at_));
}

BinidxProgress BinidxWriter::checkpoint() {
  bin_.finish();
  idx_.finish();
  return at_;
}

// From the sizes, which are in the file already.
void BinidxWriter::write_pointers() {
  std::vector<int32_t> sizes(block);
  std::vector<int64_t> pointers(block);
  int64_t pointer = 0;
  for (int64_t first = 0; first < at_.n_sequences; first += block) {
    const int64_t n = std::min(block, at_.n_sequences - first);
    idx_.read_at(static_cast<int64_t>(binidx::sizes_at) + 4 * first, sizes.data(), 4 * static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) {
      pointers[i] = pointer;
      pointer += sizes[i] * static_cast<int64_t>(size_of(dtype_));
    }
    idx_.write(pointers.data(), 8 * static_cast<size_t>(n));
  }
}

void BinidxWriter::write_document_borders() {
  for (size_t r = 0; r < at_.runs.size(); ++r) {
    const int64_t end = r + 1 < at_.runs.size() ? at_.runs[r + 1].document : at_.n_documents + 1;
    for (int64_t d = at_.runs[r].document; d < end; ++d) {
      const int64_t sequence = at_.runs[r].sequence + (d - at_.runs[r].document);
      idx_.write(&sequence, sizeof sequence);
    }
  }
}

void BinidxWriter::write_header() {
  std::byte header[binidx::sizes_at];
  const uint8_t code = binidx::code_of_dtype(dtype_);
  const uint64_t counts[2] = {static_cast<uint64_t>(at_.n_sequences), static_cast<uint64_t>(at_.n_documents) + 1};
  std::memcpy(header, binidx::magic, 9);
  std::memcpy(header + 9, &binidx::version, 8);
  std::memcpy(header + 17, &code, 1);
  std::memcpy(header + 18, counts, 16);
  idx_.write_at(0, header, sizeof header);
}

void BinidxWriter::finish() {
  write_pointers();
  write_document_borders();
  idx_.write(modes_.data(), modes_.size());
  write_header();
  bin_.finish();
  idx_.finish();
}

void BinidxWriter::commit() {
  bin_.commit();
  idx_.commit();
}

void copy_document(const Binidx& from, int64_t d, BinidxWriter& to) {
  std::vector<int32_t> tokens;
  for (int64_t s = from.document_begin(d); s < from.document_begin(d + 1); ++s) {
    const int64_t size = from.size_of_sequence(s);
    for (int64_t at = 0; at < size; at += block) {
      tokens.resize(static_cast<size_t>(std::min(block, size - at)));
      from.read(s, at, tokens, 0);
      to.append(tokens);
    }
    to.end_sequence(from.has_modes() ? from.mode_of_sequence(s) : int8_t{0});
  }
  to.end_document();
}

}  // namespace rk
