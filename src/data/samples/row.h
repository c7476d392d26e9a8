// The pieces that layouts fill rows with.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

#include "data/samples/layout.h"

namespace rk {

// A run of one document's tokens in a row.
struct RowRun {
  int64_t place = 0;      // of its first token
  int64_t n_real = 0;     // its tokens, the last target included
  int64_t n_visible = 0;  // as many and those of other documents behind them that markers may extend to
  TurnContext context;
};

// tokens [offset, offset + n) to the row's first places, each but the first a target, too; n <= ctx_len + 1. Other places are empty.
void read_row(const TokenData& data, int64_t offset, int64_t n, const RowRules& rules, const SampleRow& row);

// Weights of the run's targets, by the rules on turns.
void weigh_run(const RowRules& rules, const RowRun& run, const SampleRow& row);

// Targets that the data says do not count: tokens [offset + 1, offset + n) are targets.
void apply_marks(const TokenData& data, int64_t offset, int64_t n, const SampleRow& row);

// Targets without weight become -100.
void drop_targets(const SampleRow& row);

// Walks the borders of documents in order.
template <size_t N>
class BorderWalk {
 public:
  BorderWalk(const TokenData& data, int64_t document) : data_(data), n_documents_(data.n_documents()), first_(document) { load(); }
  int64_t document() const { return first_ + at_; }
  int64_t begin() const { return begins_[static_cast<size_t>(at_)]; }
  int64_t end() const { return begins_[static_cast<size_t>(at_) + 1]; }
  bool done() const { return document() >= n_documents_; }
  void advance() {
    if (++at_ + 1 < n_) return;
    first_ += at_;
    load();
  }

 private:
  void load() {
    at_ = 0;
    n_ = std::min<int64_t>(N, n_documents_ + 1 - first_);
    if (n_ > 0) data_.document_begins(first_, std::span(begins_).first(static_cast<size_t>(n_)));
  }

  const TokenData& data_;
  int64_t n_documents_, first_, at_ = 0, n_ = 0;
  std::array<int64_t, N> begins_;
};

}  // namespace rk
