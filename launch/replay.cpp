// rookery replay: steps of a run made again and compared with what it has written down.
#include <cstdio>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "comm/agree.h"
#include "comm/backends.h"
#include "launch/launch.h"
#include "launch/own_words.h"
#include "launch/run_rank.h"
#include "launch/subcommands.h"
#include "train/config.h"
#include "train/config_values.h"
#include "train/replay.h"

namespace rk {
namespace {

struct ReplayOptions {
  int64_t step = 0;
  std::string proj_dir;
  std::vector<std::string> others;  // of rookery train
};

void print_help() {
  std::fputs(
      "rookery replay --step N --proj_dir DIR [OPTIONS] makes the steps of a run again, from its newest checkpoint before step N up to "
      "step N,\n"
      "and compares every loss and gradient norm with metrics.jsonl to the last digit, and the hash of weights and moments where the run "
      "has\n"
      "written one (--hash_every, and each checkpoint that is kept). It writes nothing. The options are those of the run; OPTIONS of "
      "rookery\n"
      "train overrule them. As many ranks are started as have written the checkpoint, --devices or mpirun say otherwise.\n"
      "Exit code 0: all equal; 1: something is different.\n",
      stdout);
}

ReplayOptions read_words(std::vector<std::string> words) {
  ReplayOptions o;
  const std::optional<std::string> step = take_word(words, "step");
  if (!step) fail("rookery replay needs --step N, the step to be made again");
  const auto n = read_whole(*step);
  if (!n || *n < 1) fail(cat("--step ", *step, " is not accepted; it takes a whole number from 1 on"));
  o.step = *n;
  o.proj_dir = take_word(words, "proj_dir").value_or("");
  if (o.proj_dir.empty()) fail("rookery replay needs --proj_dir DIR, the folder of the run");
  o.others = words;
  return o;
}

// The run's options from the checkpoint on.
RunConfig config_of(const ReplayOptions& o, const ReplayStart& start) {
  std::vector<std::string> words;
  for (const std::string& word : start.words) {
    const bool overruled = !word_of(o.others, word.substr(2, word.find('=') - 2)).empty();
    // Samples of a step and micro-batches are kept; how many of those a rank has follows from the ranks.
    if (!overruled && !word.starts_with("--accumulate_grad_batches=")) words.push_back(word);
  }
  words.insert(words.end(), o.others.begin(), o.others.end());
  RunConfig config = parse_config(words);
  config.proj_dir = o.proj_dir;
  config.resume = start.folder;
  config.load_model.clear();
  config.train_stage = 0;
  if (under_mpi()) config.devices = config.num_nodes = 0;  // the world decides
  return config;
}

// Compares on rank 0.
class Comparison final : public Observer {
 public:
  explicit Comparison(RecordedSteps* recorded) : recorded_(recorded) {}
  void line(const std::string& text) override { log_info(text); }
  void step(const StepReport& r) override {
    if (recorded_) log_info(recorded_->compare(r));
  }

 private:
  RecordedSteps* recorded_;  // null on other ranks
};

int replay_as_rank(const ReplayOptions& o) {
  ReplayStart start;
  const RunRank rank([&] {
    start = find_replay_start(o.proj_dir, o.step);
    return config_of(o, start);
  });
  Comm& comm = *rank.comm;
  std::optional<RecordedSteps> recorded;
  agree(comm, [&] {
    if (comm.rank() == 0) recorded.emplace(o.proj_dir, start.step, o.step);
  });
  Comparison comparison(recorded ? &*recorded : nullptr);
  replay(rank.config, comm, rank.machine, comparison, o.step);
  int64_t different = recorded && !recorded->all_equal();
  comm.host().all_reduce({&different, {1}, DType::i64, Device::cpu}, Reduce::max).wait();
  if (recorded)
    log_info(cat(o.step - start.step, " steps from ", start.folder, ", ", recorded->n_hashes(),
                 " hashes compared: ", different ? "DIFFERENT" : "all equal"));
  return static_cast<int>(different ? ExitCode::failure : ExitCode::done);
}

}  // namespace

int replay_main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (help_request(words) != HelpRequest::none) {
    print_help();
    return 0;
  }
  const ReplayOptions o = read_words(words);
  if (under_mpi()) return replay_as_rank(o);
  const ReplayStart start = find_replay_start(o.proj_dir, o.step);
  const RunConfig config = config_of(o, start);
  const int64_t ranks = config.origins.contains("devices") && config.devices > 0 ? config.devices : start.n_files;
  if (ranks <= 1) return replay_as_rank(o);
  return launch_here(ranks, "replay", words);
}

}  // namespace rk
