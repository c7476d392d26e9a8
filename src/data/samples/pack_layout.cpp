#include <vector>

#include "base/error.h"
#include "data/samples/row.h"

namespace rk {
namespace {

constexpr int64_t rows_an_entry = 16;  // rows between two of which the place is kept

// Where a row begins: a document, and the token in it.
struct RowBegin {
  int64_t document, token;
};

class PackLayout final : public Layout {
 public:
  PackLayout(SharedTokens data, const RowRules& rules, bool alone) : data_(std::move(data)), rules_(rules), alone_(alone) {
    auto walk = std::make_unique<BorderWalk<4096>>(*data_, 0);
    int64_t token = 0;
    while (skip_empty(*walk, token)) {
      if (n_rows_++ % rows_an_entry == 0) entries_.push_back({walk->document(), token});
      take_row(*walk, token);
    }
  }

  int64_t n_rows() const override { return n_rows_; }

  int64_t fill(int64_t index, const SampleRow& row) const override {
    require(index >= 0 && index < n_rows_, "rows are numbered 0 .. n_rows() - 1");
    const RowBegin entry = entries_[static_cast<size_t>(index / rows_an_entry)];
    BorderWalk<32> walk(*data_, entry.document);
    int64_t token = entry.token;
    for (int64_t i = index % rows_an_entry; i > 0; --i) {
      take_row(walk, token);
      skip_empty(walk, token);
    }
    const RowBegin begin{walk.document(), token};
    const int64_t end = take_row(walk, token);
    fill_row(begin, end, row);
    return begin.token;
  }

 private:
  // To the next token that has one behind it in its document; false: there is none.
  template <class Walk>
  static bool skip_empty(Walk& walk, int64_t& token) {
    while (!walk.done() && walk.end() - token < 2) {
      walk.advance();
      if (!walk.done()) token = walk.begin();
    }
    return !walk.done();
  }

  // Moves behind the row that begins here; returns the end of its tokens, last target included.
  template <class Walk>
  int64_t take_row(Walk& walk, int64_t& token) const {
    int64_t room = rules_.ctx_len, end = token;
    for (bool empty = true; !walk.done(); empty = false) {
      const int64_t left = walk.end() - token;
      if (left - 1 > room) {  // does not fit
        if (!empty) break;
        end = token + rules_.ctx_len + 1;
        token = end - 1;
        return end;
      }
      end = walk.end();
      room -= left;
      walk.advance();
      if (!walk.done()) token = walk.begin();
      if (room <= 0 || alone_) break;
    }
    return end;
  }

  void fill_row(RowBegin begin, int64_t end, const SampleRow& row) const {
    const int64_t n = end - begin.token;
    read_row(*data_, begin.token, n, rules_, row);
    BorderWalk<32> walk(*data_, begin.document);
    for (int64_t place = 0; place < n; walk.advance()) {
      const int64_t run_end = std::min(walk.end() - begin.token, n);
      if (run_end == place) continue;  // an empty document
      if (rules_.doc_reset && place < std::ssize(row.resets)) row.resets[static_cast<size_t>(place)] = 1;
      weigher_.weigh({walk.begin(), walk.end()}, {.place = place, .n_real = run_end - place, .n_visible = run_end - place, .context = {}},
                     begin.token, row);
      if ((rules_.doc_reset || rules_.turns != RowRules::Turns::all) && run_end < n) row.weights[static_cast<size_t>(run_end - 1)] = 0;
      place = run_end;
    }
    apply_marks(*data_, begin.token, n, row);
    if (rules_.doc_reset || rules_.turns != RowRules::Turns::all || data_->has_marks()) drop_targets(row);
  }

  SharedTokens data_;
  RowRules rules_;
  PieceWeigher weigher_{*data_, rules_};
  bool alone_;
  int64_t n_rows_ = 0;
  std::vector<RowBegin> entries_;  // of rows 0, 16, 32, ...
};

}  // namespace

std::unique_ptr<Layout> make_pack_layout(SharedTokens data, const RowRules& rules, bool alone) {
  return std::make_unique<PackLayout>(std::move(data), rules, alone);
}

}  // namespace rk
