// How tokens become rows of a batch.
#pragma once
#include <cstdint>
#include <memory>

#include "data/batch_source.h"
#include "data/samples/masks.h"
#include "data/samples/token_data.h"

namespace rk {

// What applies to every row.
struct RowRules {
  enum class Turns : uint8_t { all, qa, se };

  int64_t ctx_len = 0;
  int64_t vocab = 0;       // 0 = not checked
  bool doc_reset = false;  // documents of a row are sequences of their own
  Turns turns = Turns::all;
  TurnMarkers markers;
  ScriptMask script;
  bool script_mask = false;
};

// A row by its index. Thread-safe; fill() allocates nothing.
class Layout {
 public:
  virtual ~Layout() = default;
  virtual int64_t n_rows() const = 0;
  // Sets all of row; returns the offset of its first token.
  virtual int64_t fill(int64_t index, const SampleRow& row) const = 0;
};

// Windows of ctx_len tokens and the one behind as last target; the index is the offset of the first token. One that meets the end of the
// data is cut. With doc_reset the borders of documents lie where the index has them, or behind each token 0 where it knows one document.
// n_rows: windows that follow each other, so that each token but the first is a target once.
std::unique_ptr<Layout> make_window_layout(SharedTokens data, const RowRules& rules);

// Document `index`, cut to ctx_len + 1 tokens; targets behind its end do not count. run_on: tokens behind its end are those of the
// following documents, or of the first ones at the end of the data, as RWKV-PEFT has it (golden data §5.2); otherwise 0.
std::unique_ptr<Layout> make_document_layout(SharedTokens data, const RowRules& rules, bool run_on);

// Whole documents in the order of the data, as many as fit into a row (next fit); longer ones in pieces of ctx_len that overlap by one
// token, so that each token of a document but its first is a target once. alone: one document or piece a row. Documents of less than two
// tokens begin no row. Making it reads the sizes of all documents once.
std::unique_ptr<Layout> make_pack_layout(SharedTokens data, const RowRules& rules, bool alone);

}  // namespace rk
