#include "train/architecture.h"

#include <algorithm>

#include "base/error.h"
#include "train/dialects.h"

namespace rk {
namespace {

// RWKV-v5's trainer looks for these in this order, anywhere in the word.
constexpr const char* kArchitectures[] = {"x070", "x060a", "x060b", "x060", "x052", "x040"};

// Words of RWKV-v4neo's `--my_testing`, each of which switches an experiment on.
void refuse_experiments(const std::string& word) {
  const auto refuse = [&](const char* what) { fail(cat("--my_testing ", word, what)); };
  if (word.starts_with('r')) refuse(" is a preview of RWKV-5 whose files nobody went on with; give x052, or leave it out for RWKV-4");
  if (word.find('a') != std::string::npos)
    refuse(" adds an attention of its own to every time mix, which no published model has; leave it out for RWKV-4");
  if (word.find('g') != std::string::npos) refuse(" replaces the channel mix by MishGLU, which no published model has; leave it out");
}

}  // namespace

void settle_architecture(RunConfig& config) {
  const std::string word = config.arch;
  if (dialect_named(config.dialect).is_rwkv4 && word.find("x0") == std::string::npos && !word.starts_with("rwkv")) refuse_experiments(word);
  const auto* known = std::find_if(std::begin(kArchitectures), std::end(kArchitectures),
                                   [&](const char* name) { return word.find(name) != std::string::npos; });
  if (known == std::end(kArchitectures)) {
    family_of(word);  // by its other name, or refused
    return;
  }
  std::string rest = word;
  rest.erase(word.find(*known), std::string(*known).size());
  if (rest.find('g') != std::string::npos)
    fail(cat("--my_testing ", word, " replaces the channel mix by MishGLU, which no published model has; give ", *known));
  if (rest.find("-f4") != std::string::npos && config.dim_ffn == 0)
    config.dim_ffn = 4 * (config.n_embd > 0 ? config.n_embd : 512) / 32 * 32;
  if (rest.starts_with('c') && std::string(*known) == "x060")
    config.notes.push_back(cat("--my_testing ", word, " is x060: RWKV-v5's trainer never selects its class x060c"));
  config.arch = *known;
}

void check_with_run(const ModelSpec& spec, const RunConfig& config) {
  const bool documents = config.doc_reset == 1 || (config.doc_reset == -1 && config.dataload == "pack");
  if (spec.time_state && documents)
    fail(
        "a trained start state does not go with documents that begin inside rows (--doc_reset 1, --dataload pack): it is the state before "
        "the "
        "first token of a row");
}

void prepare_training(Model& model, const Family& family, const RunConfig& config) {
  const bool second = config.train_stage == 2 && dialect_named(config.dialect).pile_stages;
  family.set_groups(model.params, {.layerwise_lr = config.layerwise_lr, .second_stage = second, .weight_decay = config.weight_decay > 0});
}

}  // namespace rk
