// my_pile_version 2 of RWKV-LM (golden data §5.1): a text file of lines PREFIX COUNT CUMULATIVE names several token files.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/samples/layout.h"
#include "data/samples/sample_source.h"

namespace rk {

struct PileList {
  std::vector<SharedTokens> parts;
  std::vector<int64_t> cumulative;  // places of the parts up to each
  int64_t total() const { return cumulative.back(); }
};

// Prefixes are relative to the list's folder where they do not exist as given. COUNT is tokens - ctx_len, and CUMULATIVE their sum; other
// numbers are refused with the line.
PileList open_pile_list(const std::string& path, int64_t ctx_len);

// Place i of [0, total) belongs to the first part with i < CUMULATIVE, and is its window at (i - the CUMULATIVE before) mod COUNT.
std::unique_ptr<Layout> make_listed_layout(const PileList& list, const RowRules& rules);
// Of the places; the magic prime is that of total() tokens.
SampleOrder listed_order(const PileList& list, const OrderRequest& request);

}  // namespace rk
