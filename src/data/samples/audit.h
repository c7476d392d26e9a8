// Proof that a pass uses what it promises, and what is odd about the documents.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/data_options.h"

namespace rk {

struct DataAudit {
  std::vector<std::string> lines;     // what was looked at and found
  std::vector<std::string> breaches;  // promises that do not hold; each is a sentence
};

// Goes through the first pass of the training data and through the validation data, sample by sample, without masks of the loss: counts
// how often each token is a target. Promises: no sample and no token twice in a pass (but for order random), every token of the validation
// data that follows another of its document or window once, and no document on both sides. Also: equal, long and empty documents, the
// first few named. Memory: a bit a token (a bit a window with dataload get), and 16 bytes a document.
DataAudit audit_data(const DataOptions& options, const std::string& folder);

}  // namespace rk
