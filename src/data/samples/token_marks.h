// PREFIX.mask: one bit a token of PREFIX.bin, 1 = it counts as a target. "RKMASK\0\1", u64 number of tokens, then the bits of eight tokens
// a byte, the first in the lowest bit.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "base/mapped_file.h"
#include "data/staged_file.h"

namespace rk {

class TokenMarks {
 public:
  // Refuses a file that is none, or has not n_tokens bits.
  TokenMarks(const std::string& path, int64_t n_tokens);
  void read(int64_t offset, std::span<uint8_t> out) const;
  const std::string& path() const { return file_.path(); }

 private:
  MappedFile file_;
};

class TokenMarksWriter {
 public:
  explicit TokenMarksWriter(const std::string& path);
  void append(std::span<const uint8_t> counted);
  void finish();
  void commit() { file_.commit(); }
  bool all_count() const { return all_; }

 private:
  StagedFile file_;
  int64_t n_ = 0;
  uint8_t bits_ = 0;
  bool all_ = true;
};

}  // namespace rk
