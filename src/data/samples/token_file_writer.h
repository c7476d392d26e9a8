// PREFIX.bin, .idx and, where some tokens do not count, .mask: one document after the other.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "data/binidx_writer.h"
#include "data/samples/prepared.h"
#include "data/samples/token_marks.h"

namespace rk {

class TokenFileWriter {
 public:
  TokenFileWriter(const std::string& prefix, DType dtype)
      : prefix_(prefix), tokens_({.prefix = prefix, .dtype = dtype}), marks_(prefix + ".mask") {}

  void append(std::span<const int32_t> tokens) { tokens_.append(tokens); }
  void append_marks(std::span<const uint8_t> counted) { marks_.append(counted); }
  void end_document() {
    tokens_.end_sequence();
    tokens_.end_document();
  }
  int64_t n_documents() const { return tokens_.n_documents(); }
  int64_t n_tokens() const { return tokens_.n_tokens(); }

  // All files get their names, the record last.
  void commit(PreparedRecord record) {
    record.documents = n_documents();
    record.tokens = n_tokens();
    record.marks = !marks_.all_count();
    tokens_.finish();
    if (record.marks) {
      marks_.finish();
      marks_.commit();
    }
    tokens_.commit();
    write_record(prefix_, record);
  }

 private:
  std::string prefix_;
  BinidxWriter tokens_;
  TokenMarksWriter marks_;
};

}  // namespace rk
