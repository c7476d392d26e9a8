// Megatron / RWKV binidx (MMIDIDX version 1; golden data §3): PREFIX.bin (tokens) and PREFIX.idx (index).
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/mapped_file.h"

namespace rk {

// What both reader and writer know of the index.
namespace binidx {
inline constexpr char magic[9] = {'M', 'M', 'I', 'D', 'I', 'D', 'X', 0, 0};
inline constexpr uint64_t version = 1;
inline constexpr size_t sizes_at = 34;  // 9 bytes magic, u64 version, u8 dtype, u64 sequences, u64 entries of doc_idx
std::optional<DType> dtype_of_code(uint8_t code);
uint8_t code_of_dtype(DType dtype);
}  // namespace binidx

// Read-only, through memory maps: opening costs nothing per token. Every refusal names the file and the byte offset.
class Binidx {
 public:
  explicit Binidx(const std::string& prefix);

  int64_t n_tokens() const { return n_tokens_; }  // what PREFIX.bin holds: the .bin decides, not the index
  int64_t n_sequences() const { return n_sequences_; }
  int64_t n_documents() const { return n_documents_; }
  DType dtype() const { return dtype_; }
  int64_t size_of_sequence(int64_t i) const;
  int64_t byte_pointer(int64_t i) const;
  int64_t document_begin(int64_t d) const;  // doc_idx entry, d in [0, n_documents]
  // Token offsets at which documents first, first + 1, ... begin; n_documents() stands for the end of the last one. An index whose
  // pointers do not follow the sizes is refused, as its documents do not lie one behind another.
  void document_offsets(int64_t first, std::span<int64_t> out) const;
  bool has_modes() const;                    // Megatron multimodal files
  int8_t mode_of_sequence(int64_t i) const;  // only with has_modes()
  const std::vector<std::string>& warnings() const { return warnings_; }
  const std::string& prefix() const { return prefix_; }

  // Tokens [offset, offset + out.size()) counted from the start of sequence `seq`; may run over sequence ends, never past the .bin.
  // A token < 0 or >= vocab (when vocab > 0) is an error naming file and byte offset.
  void read(int64_t seq, int64_t offset, std::span<int32_t> out, int64_t vocab) const;
  // The same counted from the first token of the file.
  void read_flat(int64_t offset, std::span<int32_t> out, int64_t vocab) const;

  // Largest token of the file (-1 without tokens); reads all of it.
  int64_t largest_token() const;

 private:
  void read_header();
  void check_sizes();
  void check_pointers();
  void check_documents();
  void read_bytes(int64_t begin, std::span<int32_t> out, int64_t vocab) const;

  std::string prefix_;
  MappedFile bin_, idx_;
  DType dtype_ = DType::u16;
  int64_t n_tokens_ = 0, n_sequences_ = 0, n_documents_ = 0;
  int64_t n_indexed_ = 0;                                 // tokens that the sizes add up to
  int64_t out_of_order_ = -1;                             // the first sequence whose pointer is not the sum of the sizes before it
  bool one_sequence_each_ = false;                        // document d is sequence d
  size_t pointers_at_ = 0, doc_idx_at_ = 0, end_at_ = 0;  // byte offsets in PREFIX.idx
  std::vector<std::string> warnings_;
};

}  // namespace rk
