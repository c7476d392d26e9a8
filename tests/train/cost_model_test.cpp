#include "train/cost_model.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "kernels/common/dispatch.h"
#include "support/tiny_run.h"
#include "train/build.h"
#include "train/collective_cost.h"
#include "train/config.h"
#include "train/run_advice.h"

namespace rk {
namespace {

constexpr size_t kGiB = size_t{1} << 30;

RunConfig parsed(const std::string& line, int world) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  RunConfig c = parse_config(words);
  validate(c, world, {.plan = true});
  return c;
}

// A GPU run, planned here.
class Planned {
 public:
  explicit Planned(const std::string& line, int n_ranks = 1, const std::string& gpu = "h200")
      : line_(line), machine_(*known_machine(gpu)), config_(parsed(line + " --vocab_size 65536", n_ranks)) {
    place_.n_ranks = n_ranks;
    place_.n_nodes = (n_ranks + 7) / 8;
    place_.gpu = GpuMemory{machine_.compute.memory, machine_.compute.memory - kContextBytes};
    model_ = build_model(config_, {}, nullptr);
  }
  Forecast forecast() { return rk::forecast(bare(), *model_, asked()); }
  std::vector<Suggestion> suggest() { return rk::suggest(bare(), *model_, asked()); }
  int64_t micro_bsz() { return choose_micro_bsz(bare(), *model_, asked()); }
  RunCase asked() { return {config_, place_, machine_}; }
  const std::string& line() const { return line_; }
  MachineRates& machine() { return machine_; }

 private:
  Exec bare() { return {.device = Device::cuda, .pool = &pool_}; }
  std::string line_;
  MachineRates machine_;
  RunConfig config_;
  RunPlace place_;
  std::unique_ptr<Model> model_;
  ThreadPool pool_{1};
};

class OfAGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_cuda) GTEST_SKIP() << "the build knows the CPU only";
  }
};

const std::string k1_5B = "--n_layer 24 --n_embd 2048 --ctx_len 4096 --micro_bsz 8";
const std::string k7_2B = "--n_layer 32 --n_embd 4096 --ctx_len 4096 --micro_bsz 4";

TEST_F(OfAGpu, a_step_of_1_5B_keeps_its_budget) {
  const StepCost c = Planned(k1_5B).forecast().cost;
  EXPECT_GT(c.seconds, 0.51);
  EXPECT_LT(c.seconds, 0.60);
  EXPECT_NEAR(c.seconds, c.products + c.wkv + c.element_wise + c.optimizer, 1e-9) << "one GPU waits for nothing";
}

// docs/performance.md, one H200.
TEST_F(OfAGpu, measured_speeds_are_predicted_within_15_percent) {
  const std::string small = "--n_layer 12 --n_embd 768", large = "--n_layer 32 --n_embd 2560 --ctx_len 4096 --micro_bsz 8";
  const std::pair<std::string, double> measured[] = {{small + " --ctx_len 512 --micro_bsz 16", 331.0e3},
                                                     {small + " --ctx_len 4096 --micro_bsz 16", 405.4e3},
                                                     {k1_5B, 56.4e3},
                                                     {k1_5B + " --grad_cp 1", 43.7e3},
                                                     {large, 29.2e3},
                                                     {large + " --grad_cp 1", 22.7e3}};
  for (const auto& [line, tokens_per_s] : measured)
    EXPECT_NEAR(Planned(line).forecast().tokens_per_s, tokens_per_s, 0.15 * tokens_per_s) << line;
}

TEST_F(OfAGpu, more_work_takes_longer) {
  const auto seconds = [](const std::string& line, int n_ranks = 1) { return Planned(line, n_ranks).forecast().cost.seconds; };
  EXPECT_GT(seconds(k1_5B + " --accumulate_grad_batches 2"), 1.8 * seconds(k1_5B));
  EXPECT_NEAR(seconds(k1_5B + " --accumulate_grad_batches 40"), 5 * seconds(k1_5B + " --accumulate_grad_batches 8"),
              0.05 * seconds(k1_5B + " --accumulate_grad_batches 40"))
      << "many micro-batches are not simulated one by one";
  EXPECT_GT(seconds(k1_5B + " --grad_cp 1"), seconds(k1_5B));
  EXPECT_GT(seconds(k1_5B + " --precision tf32"), seconds(k1_5B));
  EXPECT_GT(seconds(k7_2B + " --zero 3", 1024), seconds(k7_2B + " --zero 1", 1024));
  EXPECT_GT(seconds(k1_5B + " --offload optimizer"), seconds(k1_5B));
}

TEST_F(OfAGpu, a_slower_network_makes_no_step_faster) {
  double last = 0;
  for (double network : {400e9, 100e9, 50e9, 10e9}) {
    Planned p(k7_2B + " --zero 2", 64);
    p.machine().links.network = network;
    const StepCost c = p.forecast().cost;
    EXPECT_GE(c.seconds, last);
    last = c.seconds;
    EXPECT_NEAR(c.seconds, c.products + c.wkv + c.element_wise + c.optimizer + c.slowdown + c.exposed_weights + c.exposed_gradients, 1e-6);
  }
}

// Rings over thousands of ranks are long; those of a node stay short (docs/scaling.md).
TEST_F(OfAGpu, groups_of_a_node_go_on_where_the_world_stops) {
  for (int stage : {1, 2, 3}) {
    const std::string line = cat(k7_2B, " --zero ", stage);
    const double world = Planned(line, 4096).forecast().cost.seconds,
                 node = Planned(line + " --zero_group node", 4096).forecast().cost.seconds;
    EXPECT_LT(node, 0.9 * world) << stage;
    const double few = Planned(line, 16).forecast().cost.seconds;
    EXPECT_LT(node, 1.3 * few) << stage;
  }
}

TEST(Collectives, cost_grows_with_bytes_and_ranks) {
  const LinkRates links = known_machine("h200")->links;
  const RankGroup node{.size = 8}, world{.size = 64, .nodes = 8}, alone{};
  EXPECT_EQ(collective_cost(links, Collective::all_gather, 1e9, alone).total(), 0);
  double last = 0;
  for (double n_bytes : {1e3, 1e5, 1e6, 3e6, 1e7, 1e8, 1e9, 1e10}) {
    const double s = collective_cost(links, Collective::reduce_scatter, n_bytes, node).total();
    EXPECT_GT(s, last) << n_bytes;
    last = s;
    EXPECT_GT(collective_cost(links, Collective::reduce_scatter, n_bytes, world).total(), s);
    EXPECT_GT(collective_cost(links, Collective::all_reduce, n_bytes, node).total(), s);
  }
  // At the largest measured size it is what was measured: 7/8 of a GiB at 327 GB/s.
  EXPECT_NEAR(collective_cost(links, Collective::reduce_scatter, double{1 << 30}, node).total(), 0.875 * (1 << 30) / 327e9, 1e-6);
}

TEST_F(OfAGpu, suggestions_fit_when_they_are_planned) {
  for (const auto& [line, n_ranks] :
       {std::pair<std::string, int>{k7_2B + " --memory_limit 23.5", 1}, {k7_2B + " --zero 1 --memory_limit 80", 4}}) {
    Planned asked(line, n_ranks);
    ASSERT_FALSE(asked.forecast().fits);
    const auto suggestions = asked.suggest();
    ASSERT_FALSE(suggestions.empty());
    double last = 1e30;
    for (const Suggestion& s : suggestions) {
      const Forecast f = Planned(line + " " + s.flags, s.n_ranks).forecast();
      EXPECT_TRUE(f.fits) << s.flags;
      EXPECT_EQ(f.run.memory.on_gpu(), s.on_gpu) << s.flags;
      EXPECT_NEAR(f.tokens_per_s, s.tokens_per_s, 1e-6 * s.tokens_per_s) << s.flags;
      if (s.n_ranks != n_ranks) continue;
      EXPECT_LE(s.tokens_per_s, last);
      last = s.tokens_per_s;
    }
    EXPECT_NE(advice(suggestions).find(suggestions.front().flags), std::string::npos);
  }
}

// The claim of a 24 GB card: 7.2B with the state on the host.
TEST_F(OfAGpu, a_24_GB_card_trains_7_2B_with_offload) {
  const Forecast f =
      Planned("--n_layer 32 --n_embd 4096 --ctx_len 4096 --micro_bsz 1 --grad_cp 1 --offload optimizer --memory_limit 23.5").forecast();
  EXPECT_TRUE(f.fits);
  EXPECT_EQ(f.run.zero, 2);
  EXPECT_NEAR(static_cast<double>(f.run.memory.on_gpu()) / kGiB, 18.4, 0.9);
  EXPECT_NEAR(static_cast<double>(f.run.memory.on_host()) / kGiB, 107, 3);
}

TEST_F(OfAGpu, the_automatic_micro_batch_fits_divides_and_grows_with_memory) {
  const std::string line = "--n_layer 24 --n_embd 2048 --ctx_len 4096 --micro_bsz auto --global_bsz 48";
  int64_t last = 1;
  for (int gib : {20, 40, 60, 140}) {
    Planned p(line + cat(" --memory_limit ", gib));
    EXPECT_EQ(p.asked().config.micro_bsz * p.asked().config.accumulate, 48);
    const int64_t B = p.micro_bsz();
    EXPECT_EQ(48 % B, 0);
    EXPECT_GE(B, last) << gib;
    last = B;
    if (gib == 20) continue;  // nothing fits
    const std::string chosen = cat("--n_layer 24 --n_embd 2048 --ctx_len 4096 --micro_bsz ", B, " --global_bsz 48 --memory_limit ", gib);
    EXPECT_TRUE(Planned(chosen).forecast().fits) << gib;
  }
  EXPECT_GT(last, 4);
}

TEST_F(OfAGpu, a_batch_that_ranks_do_not_divide_takes_the_time_of_full_rows) {
  const std::string line = "--n_layer 24 --n_embd 2048 --ctx_len 4096 --micro_bsz 2 --zero 2";
  const Forecast ragged = Planned(line + " --global_bsz 35", 3).forecast(), full = Planned(line + " --global_bsz 36", 3).forecast();
  EXPECT_EQ(ragged.run.shape.micro, 6);
  EXPECT_NEAR(ragged.cost.seconds, full.cost.seconds, 1e-9);
  EXPECT_NEAR(ragged.tokens_per_s / full.tokens_per_s, 35.0 / 36, 1e-9);
  const int64_t B = Planned("--n_layer 24 --n_embd 2048 --ctx_len 4096 --micro_bsz auto --global_bsz 35", 3).micro_bsz();
  EXPECT_EQ(12 % B, 0) << "of 12 rows a rank";
}

TEST_F(OfAGpu, sums_in_one_order_have_a_price_that_is_told) {
  const std::string line = "--n_layer 24 --n_embd 2048 --ctx_len 4096 --micro_bsz 2 --global_bsz 36";
  const Forecast plain = Planned(line, 3).forecast(), ordered = Planned(line + " --deterministic_reduce 1", 3).forecast();
  EXPECT_GT(ordered.cost.seconds, plain.cost.seconds);
  EXPECT_GT(ordered.cost.communication, plain.cost.communication);
  EXPECT_EQ(ordered.run.zero, 2);
  ASSERT_EQ(ordered.run.remarks.size(), 1u);
  // Six micro-batches, though fewer are simulated: 5.7 GiB of fp32 gradients, two thirds of which go to other ranks.
  for (const char* part : {"divided as under ZeRO-2", "sends 22.81 GiB", "instead of 3.80 GiB"})
    EXPECT_NE(ordered.run.remarks[0].find(part), std::string::npos) << ordered.run.remarks[0];
}

TEST(MachineFile, reads_back_what_was_written) {
  testing_support::TemporaryFolder folder;
  const std::string path = folder.path("machine.json");
  const std::string written = machine_json(*known_machine("NVIDIA H100 80GB HBM3"));
  std::ofstream(path) << written;
  EXPECT_EQ(machine_json(read_machine(path)), written);
  std::ofstream(path) << "{\"name\": 3}";
  EXPECT_THROW(read_machine(path), Error);
  EXPECT_THROW(read_machine(folder.path("none.json")), Error);
}

TEST(MachineTable, names_are_found_and_others_are_not) {
  EXPECT_EQ(known_machine("h200")->name, "h200");
  EXPECT_EQ(known_machine("NVIDIA H200")->name, "h200");
  EXPECT_EQ(known_machine("NVIDIA GeForce RTX 4090")->name, "4090-24");
  EXPECT_FALSE(known_machine("abacus"));
}

// What the trainer prints is what is planned.
TEST(Forecast, the_trainer_reports_the_plan) {
  testing_support::TemporaryFolder folder;
  write_tiny_data(folder.path("tiny"), 6000, 50);
  for (int zero : {0, 1, 2, 3}) {
    RunConfig c = tiny_config(folder.root(), cat("zero", zero), 2);
    c.zero = zero;
    c.max_steps = 1;
    const auto history = tiny_train(c, 2);
    ThreadPool pool(1);
    const auto model = build_model(c, {}, nullptr);
    RunPlace place;
    place.n_ranks = 2;
    const RunPlan run = plan_run({.pool = &pool}, c, *model, place);
    const std::string table = memory_table(run.memory, 2, zero);
    const auto& lines = history[0].lines;
    EXPECT_NE(std::find(lines.begin(), lines.end(), table), lines.end()) << table;
  }
}

}  // namespace
}  // namespace rk
