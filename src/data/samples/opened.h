// The files of a run's data, opened.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/samples/pile_list.h"
#include "data/samples/settings.h"

namespace rk {

struct OpenedData {
  std::vector<SharedTokens> sources;  // of the training data; several where their shares are given
  std::vector<double> weights;        // one each
  std::optional<PileList> list;       // of my_pile_version 2
  SharedTokens pile;                  // of my_qa_mask
  SharedTokens validation;            // null without
  int64_t vocabulary = 0;             // ids of tokens that were made of text; 0: the largest token decides
  std::vector<std::string> remarks;

  template <class Visit>
  void for_all(Visit&& visit) const {
    for (const SharedTokens& data : sources) visit(*data);
    if (pile) visit(*pile);
    if (validation) visit(*validation);
  }
};

// folder: where prepared files lie.
OpenedData open_files(const DataOptions& options, const std::string& folder);

// What rows of one document each leave out: "" or a warning that names the number of documents and tokens.
std::string cut_documents(const TokenData& data, int64_t ctx_len);

// Samples of one of the sources, which are numbered from 0.
std::unique_ptr<BatchSource> training_source(const SharedTokens& data, const SampleSettings& settings, const RowRules& rules,
                                             size_t number);
std::unique_ptr<BatchSource> training_source(const OpenedData& data, const SampleSettings& settings, const RowRules& rules);
std::unique_ptr<BatchSource> validation_source(const SharedTokens& data, const SampleSettings& settings, RowRules rules);

}  // namespace rk
