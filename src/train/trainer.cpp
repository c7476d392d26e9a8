#include "train/trainer.h"

#include <filesystem>
#include <optional>

#include "comm/agree.h"
#include "train/build.h"
#include "train/early_stop.h"
#include "train/init_run.h"
#include "train/loss_scale.h"
#include "train/open_run.h"
#include "train/ordered_sums.h"
#include "train/pending_steps.h"
#include "train/position.h"
#include "train/run_guard.h"
#include "train/run_log.h"
#include "train/runner.h"
#include "train/saving.h"
#include "train/weights_export.h"
#include "train/weights_metadata.h"

namespace rk {
namespace {

// What the ranks tell each other once a step beside its sums.
enum Flag : int64_t { kStop, kSaveNow, kWriterBusy, kWriterFailed, kTimeIsUp, kSnapshotTimeIsUp, kFlags };

// What follows a step before the next one begins. All of it needs the step's numbers.
struct Due {
  bool end = false, validation = false, commit = false, mini_epoch = false, first_pass = false, save = false, snapshot = false,
       hash = false;
  bool any() const { return end || validation || commit || mini_epoch || first_pass || save || snapshot || hash; }
};

class Trainer {
 public:
  Trainer(const RunConfig& config, Comm& comm, const Machine& machine, Observer& observer, StopFlags& flags)
      : config_(config), comm_(comm), machine_(machine), observer_(observer), flags_(flags), pool_(machine.threads), gpu_(machine.gpu) {}

  ExitCode run();
  void replay(int64_t last_step);

 private:
  void plan_memory();
  void load();
  void restore();
  void restore_older(const std::string& why);
  void start_guard(bool writes);
  bool queue_step();
  template <class Number>
  void read_ahead(const Number& number);
  ExitCode leave_step();
  void tell_ranks();
  Due due_after_step();
  void after_step();
  StepReport collect();
  void report(const StepReport& report, const Validation::Result* validated);
  void note_validation(double loss);
  void end_mini_epoch(const StepReport& report);
  void export_or_warn(const std::string& file);
  void save(const std::string& weights = "");
  const CheckpointState& hashed_state();
  ExitCode finish(bool interrupted);
  bool flag(Flag what) const { return host_flags_[what] > 0; }
  bool scales_loss() const { return run_.model->dtype == DType::f16; }
  bool leads() const { return comm_.rank() == 0; }
  std::string path(const std::string& file) const { return config_.proj_dir + "/" + file; }
  Device device() const { return gpu_ ? Device::cuda : Device::cpu; }
  // Before there are arenas.
  Exec bare() { return {.device = device(), .pool = &pool_, .gpu = gpu_, .tf32 = config_.precision == "tf32", .keep_less = keep_less_}; }
  Exec exec() {
    Exec ex = bare();
    ex.kept = &kept_;
    ex.scratch = &scratch_;
    return ex;
  }

  RunConfig config_;
  Comm& comm_;
  const Machine machine_;
  Observer& observer_;
  StopFlags& flags_;
  ThreadPool pool_;
  Gpu* gpu_;  // null: the CPU

  OpenedRun run_;
  Plan plan_;
  int zero_ = 0;
  bool keep_less_ = false;
  std::vector<int64_t> next_numbers_;  // of this rank's samples of the next step
  std::optional<Batcher> batcher_;
  std::optional<Shards> shards_;
  std::optional<Runner> runner_;
  Arena kept_, scratch_;
  std::optional<StepNumbers> numbers_;
  std::optional<OrderedSums> ordered_;  // of --deterministic_reduce
  std::optional<RunLog> log_;
  std::optional<RunGuard> guard_;
  Watchdog* watchdog_ = nullptr;  // the guard's
  std::optional<Saving> saving_;
  bool stops_early_ = false;
  bool save_put_off_ = false;  // until a step is finite again

  CheckpointState state_;  // position of the run; what depends on outstanding steps is behind
  double host_flags_[kFlags] = {};
  PendingSteps pending_;
  size_t memory_planned_ = 0;  // of the GPU
  bool memory_compared_ = false;
};

// What the run will be, agreed by all ranks, then the memory that it takes.
void Trainer::plan_memory() {
  const RunPlan planned = plan_run(bare(), config_, *run_.model, run_.site.place);
  plan_ = planned.step;
  zero_ = planned.zero;
  keep_less_ = planned.keep_less;
  observer_.line(memory_table(planned.memory, comm_.size(), planned.zero, planned.gpu));
  for (const std::string& remark : planned.remarks) observer_.line(remark);
  std::string warning;
  agree(comm_, [&] {
    warning = require_fit(bare(), *run_.model, config_, planned, run_.site);
    shards_.emplace(bare(), comm_, planned.layout, planned.shards);
    batcher_.emplace(run_.shape, device());
    next_numbers_.reserve(static_cast<size_t>(run_.shape.micro * run_.shape.B));
    if (run_.validation) run_.validation->allocate(device());
    kept_ = Arena(Buffer(device(), planned.memory.kept));
    scratch_ = Arena(Buffer(device(), planned.memory.scratch));
    numbers_.emplace(device());
    if (planned.shards.ordered) ordered_.emplace(device(), run_.batch, SquareBlockMap(planned.layout).n());
  });
  if (!warning.empty()) observer_.line(warning);
  saving_.emplace(Saving::Site{config_, comm_, *shards_, bare(), tensor_shapes(*run_.model),
                               [this](const std::string& s) { observer_.line(s); }, machine_.node},
                  planned.copied_state);
  memory_planned_ = planned.memory.on_gpu();
  runner_.emplace(*run_.model, &*shards_);
}

void Trainer::load() {
  if (run_.start.kind == Start::Kind::checkpoint) {
    restore();
  } else {
    agree(comm_, [&] { load_start(exec(), *run_.model, *shards_, run_.start, config_); });
    shards_->refresh_weights(exec());
    state_ = first_state(run_.start, run_.horizon);
  }
  const LossScale scale = loss_scale_of(state_, scales_loss());
  numbers_->set_state(bare(), state_.adam_t, scale.scale, scale.good_steps);
  state_.model_dtype = name_of(run_.model->dtype);
  state_.config = config_.text;
  keep_text_facts(state_, config_);
  if (run_.start.kind == Start::Kind::fresh) export_weights(exec(), *run_.model, *shards_, path("rwkv-init.pth"), weights_metadata(state_));
}

// An exact continuation: what changes the meaning of a position must be as it was.
void Trainer::restore() {
  std::optional<CheckpointReader> reader;
  agree(comm_, [&] {
    reader.emplace(run_.start.path);
    state_ = reader->state();
    const auto same = [&](const char* name, int64_t now, const char* remedy) {
      const auto was = state_.extra.find(name);
      if (was != state_.extra.end() && was->second != std::to_string(now))
        fail(cat(run_.start.path, " was made with ", name, " = ", was->second, ", this run has ", now, "; ", remedy,
                 ", or begin a new run from its weights with --load_model"));
    };
    same("ctx_len", config_.ctx_len, "give the same --ctx_len");
    same("epoch_steps", run_.horizon.epoch_steps, "give the same --epoch_steps");
  });
  try {
    agree(comm_, [&] { load_from_checkpoint(exec(), *shards_, *reader); });
  } catch (const Error& e) {
    return restore_older(e.what());
  }
  shards_->refresh_weights(exec());
  const auto warmup = state_.extra.find("warmup_steps");
  run_.horizon = make_horizon(config_, comm_.size(), run_.source->n_samples_per_pass(), state_.epoch_begin,
                              warmup != state_.extra.end() ? std::stoll(warmup->second) : config_.warmup_steps);
  observer_.line(cat("resumed from ", run_.start.path, ": ", state_.step, " steps, ", state_.tokens, " tokens done"));
}

// What is damaged inside shows when it is read, to one rank perhaps: all go back to the checkpoint before.
void Trainer::restore_older(const std::string& why) {
  std::optional<std::string> older;
  agree(comm_, [&] {
    std::vector<std::string> warnings;
    if (run_.start.automatic) older = newest_checkpoint(config_.proj_dir, warnings, run_.start.snapshot ? INT64_MAX : state_.step);
    if (!older) fail(why);
  });
  observer_.line(cat("warning: checkpoint ", run_.start.path, " is skipped: ", why, "; trying ", *older));
  run_.start.path = *older;
  run_.start.snapshot = false;
  restore();
}

// Queues all work of a step. On a GPU nothing here waits for it; the host knows beforehand what the report says of the step's place. False:
// the ranks have left the step to stop, and nothing has changed.
bool Trainer::queue_step() {
  PendingStep& step = pending_.begin();
  const Exec ex = exec();
  const auto number = [&](int64_t m, int64_t j) {
    const int64_t sample = run_.batch.sample(comm_.rank(), m, j);
    return sample < 0 ? -1 : 1 + state_.samples + sample;
  };
  batcher_->fill(ex, *run_.source, number);
  step.offsets = batcher_->offsets();
  step.report.data_s = run_.source->take_seconds();
  read_ahead(number);

  step.rank_targets = batcher_->n_targets();
  step.targets = guard_->begin_step(state_.step + 1, step.rank_targets, step.began);
  const auto rows = static_cast<double>(run_.horizon.real_bsz * config_.ctx_len);
  batcher_->scale({.scale = step.targets > 0 ? 1 / step.targets : 0,
                   .l2_scale = config_.l2wrap / rows,
                   .loss_scale = scales_loss() ? numbers_->loss_scale() : Tensor{},
                   .loss_sum = ordered_ ? ordered_->losses() : numbers_->loss(),
                   .loss_first = ordered_ ? run_.batch.number(comm_.rank(), 0) : 0,
                   .loss_step = ordered_ ? run_.batch.world : 0});

  numbers_->start_step(ex);
  if (ordered_) ordered_->start_step(ex);
  shards_->start_step(ex);
  StepIo io;
  io.micro = batcher_->micro();
  io.n_filled = static_cast<size_t>(run_.batch.of_rank(comm_.rank()));
  io.truncated = config_.bptt == "truncated";
  io.watchdog = watchdog_;
  io.step = state_.step + 1;
  io.leave = guard_->leave();
  const bool complete = runner_->run(ex, plan_, io);
  watchdog_->progress(state_.step + 1, "reduction of gradients");
  shards_->finish_grads(ex);
  if (!complete) {
    pending_.drop();
    return false;
  }
  if (ordered_) {
    shards_->square_blocks(ex, ordered_->squares());
    ordered_->sum_losses(ex, *numbers_);
  } else {
    shards_->add_grad_squares(ex, numbers_->squares());
  }
  numbers_->keep_rank_loss(ex);
  tell_ranks();

  watchdog_->progress(state_.step + 1, "update");
  StepReport& r = step.report;
  const int64_t since_launch = state_.step - run_.horizon.first_step;
  r.lr = run_.horizon.schedule.lr(since_launch);
  r.weight_decay = run_.horizon.schedule.decay(since_launch);
  numbers_->decide(ex, config_, scales_loss());
  shards_->update(ex, {.lr = r.lr,
                       .beta1 = config_.beta1,
                       .beta2 = config_.beta2,
                       .eps = config_.adam_eps,
                       .weight_decay = r.weight_decay,
                       .decision = numbers_->decision()});
  numbers_->queue_copy(ex);
  pending_.queued();

  step_forward(state_, run_.horizon, r);
  guard_->end_step();
  return true;
}

// The samples of the step behind this one, whose rows number() tells.
template <class Number>
void Trainer::read_ahead(const Number& number) {
  next_numbers_.clear();
  for (int64_t m = 0; m < run_.shape.micro; ++m)
    for (int64_t j = 0; j < run_.shape.B; ++j)
      if (const int64_t n = number(m, j); n >= 0) next_numbers_.push_back(n + run_.horizon.real_bsz);
  run_.source->prefetch(next_numbers_);
}

// The micro-batches of the unfinished step are computed again by the run that goes on.
ExitCode Trainer::leave_step() {
  while (pending_.size() > 0) report(collect(), nullptr);
  observer_.line(cat("step ", state_.step + 1, " is left unfinished and begins anew when the run goes on"));
  return finish(true);
}

// The step's sums, and what every rank has to know before it goes on.
void Trainer::tell_ranks() {
  host_flags_[kStop] = guard_->stop_is_asked();
  host_flags_[kSaveNow] = flags_.save_and_go_on.exchange(false);
  host_flags_[kWriterBusy] = saving_->writing();
  host_flags_[kWriterFailed] = saving_->failed();
  host_flags_[kTimeIsUp] = leads() ? saving_->time_is_up() : 0;
  host_flags_[kSnapshotTimeIsUp] = leads() ? saving_->snapshot_time_is_up() : 0;
  watchdog_->progress(state_.step + 1, "reduction of the step's sums");
  Ticket sums = comm_.all_reduce(ordered_ ? ordered_->all() : numbers_->sums(), Reduce::sum);
  Ticket flags = comm_.all_reduce({host_flags_, {kFlags}, DType::f64, Device::cpu}, Reduce::sum);
  sums.wait();
  flags.wait();
  if (!ordered_) return;
  ordered_->sum_losses(exec(), *numbers_);
  ordered_->sum_squares(exec(), *numbers_);
}

// Waits for the oldest outstanding step and completes its report.
StepReport Trainer::collect() {
  watchdog_->progress(pending_.oldest(), "waiting for its numbers");
  const StepValues v = numbers_->collect();
  const StepReport r = pending_.complete(v, {config_.grad_clip, run_.horizon.real_bsz * config_.ctx_len});
  state_.adam_t = v.adam_t;
  guard_->note(r, v.loss_scale);
  if (scales_loss()) keep_loss_scale(state_, {v.loss_scale, v.good_steps});
  if (!r.skipped) {
    state_.epoch_loss_sum += r.loss;
    ++state_.epoch_loss_steps;
  }
  return r;
}

Due Trainer::due_after_step() {
  Due due;
  const bool reached = run_.horizon.reached(state_.step);
  due.end = reached || flag(kStop);
  due.validation = run_.validation && (reached || (config_.val_every > 0 && state_.step % config_.val_every == 0));
  due.commit = saving_->commit_due(host_flags_[kWriterBusy], host_flags_[kWriterFailed]);
  due.mini_epoch = (state_.step - run_.horizon.first_step) % run_.horizon.epoch_steps == 0;
  // The reference writes rwkv-final.pth near the end of the first pass and goes on.
  const int64_t pass_steps = run_.source->n_samples_per_pass() / run_.horizon.real_bsz;
  due.first_pass = !due.end && state_.step == pass_steps - 1 && run_.horizon.last_step != pass_steps;
  due.hash = config_.hash_every > 0 && state_.step % config_.hash_every == 0;
  due.save = !due.end && (save_put_off_ || flag(kSaveNow) || flag(kTimeIsUp) || saving_->due(state_.step, state_.tokens));
  due.snapshot = !due.end && (saving_->snapshot_due(state_.step, state_.tokens) || flag(kSnapshotTimeIsUp));
  return due;
}

// Reports steps and does what is due between two of them. A GPU's last step is reported while the next one is computed, unless
// something is due.
void Trainer::after_step() {
  const Due due = due_after_step();
  saving_->go_on();
  while (pending_.size() > 1) report(collect(), nullptr);
  if (gpu_ && !due.any()) return;
  StepReport last = collect();
  if (due.hash) last.hash = guard_->state_hash();
  std::optional<Validation::Result> validated;
  if (due.validation)
    validated = run_.validation->run(exec(), *runner_, static_cast<int>(run_.model->units.size()), *watchdog_, state_.step, comm_);
  report(last, validated ? &*validated : nullptr);
  const bool best = validated && saving_->among_best(state_, validated->loss);
  if (validated) note_validation(validated->loss);
  if (due.commit) saving_->commit(flag(kWriterFailed));
  if (due.mini_epoch) end_mini_epoch(last);
  if (due.first_pass) export_or_warn("rwkv-final.pth");
  if (due.save || (best && !due.end)) save();
  if (due.snapshot && !guard_->in_bad_steps()) saving_->snapshot(hashed_state());
  saving_->tell();
  pending_.pause(saving_->take_pause());
}

void Trainer::report(const StepReport& r, const Validation::Result* validated) {
  if (log_) log_->step(r, validated);
  observer_.step(r);
  if (validated) observer_.validation(r.step, validated->loss, validated->tokens);
  if (guard_->too_many_bad_steps()) {
    while (saving_->commit_due(0, 0)) saving_->commit();  // of a moment before them
    guard_->stop_at_bad_steps();
  }
  if (!gpu_ || memory_compared_) return;
  memory_compared_ = true;  // by now everything that a step takes has been taken
  observer_.line(
      cat("memory in use on the GPU: ", mebibytes(gpu_->total_bytes() - gpu_->free_bytes()), "; predicted: ", mebibytes(memory_planned_)));
}

// --early_stop: the same on all ranks, because the loss is.
void Trainer::note_validation(double loss) {
  if (config_.early_stop == 0) return;
  const int64_t in_vain = note_validation_loss(state_, loss);
  if (in_vain < config_.early_stop || run_.horizon.reached(state_.step)) return;
  stops_early_ = true;
  observer_.line(cat("early stop: ", in_vain, in_vain == 1 ? " validation" : " validations in a row", " without a smaller loss"));
}

void Trainer::end_mini_epoch(const StepReport& report) {
  const int64_t since_launch = (state_.step - run_.horizon.first_step) / run_.horizon.epoch_steps - 1;
  const int64_t name = state_.epoch_begin + since_launch;
  const auto steps = static_cast<double>(std::max<int64_t>(state_.epoch_loss_steps, 1));
  if (log_) log_->mini_epoch(name, state_.epoch_loss_sum / steps, report.lr, since_launch);
  state_.epoch_loss_sum = 0;
  state_.epoch_loss_steps = 0;
  const bool due = config_.epoch_save > 0 && since_launch % config_.epoch_save == 0;
  const bool last = config_.epoch_count > 0 && name + 1 == config_.epoch_count;
  if (!due && !last) return;
  const std::string file = cat("rwkv-", name, ".pth");
  if (run_.horizon.reached(state_.step) || flag(kStop) || guard_->in_bad_steps()) return export_or_warn(file);
  save(file);
}

// Weights on the way: a full disk does not end the run.
void Trainer::export_or_warn(const std::string& file) {
  watchdog_->pause();
  try {
    export_weights(exec(), *run_.model, *shards_, path(file), weights_metadata(state_));
    observer_.line(cat("saved ", path(file)));
  } catch (const Error& e) {
    observer_.line(cat("warning: ", e.what(), "; training goes on and tries again at the next mini-epoch"));
  }
  watchdog_->resume();
}

// Begins a checkpoint, unless this is a moment that cannot be continued from.
void Trainer::save(const std::string& weights) {
  save_put_off_ = guard_->in_bad_steps();
  if (!save_put_off_) saving_->begin(hashed_state(), weights);
}

// The hash of a state in host memory beside a GPU takes the time of a save: it is made where the run asks for hashes.
const CheckpointState& Trainer::hashed_state() {
  if (!config_.offload_optimizer || config_.hash_every > 0) state_.extra["state_hash"] = guard_->state_hash();
  return state_;
}

ExitCode Trainer::finish(bool interrupted) {
  saving_->complete(hashed_state());
  if (interrupted) {
    observer_.line(cat("stopped after step ", state_.step, "; continue with --resume auto"));
    return ExitCode::interrupted;
  }
  export_weights(exec(), *run_.model, *shards_, path("rwkv-final.pth"), weights_metadata(state_));
  observer_.line(cat("finished after step ", state_.step, ": ", path("rwkv-final.pth")));
  return ExitCode::done;
}

ExitCode Trainer::run() {
  run_ = open_run(config_, comm_, machine_, bare(), observer_);
  for (const auto& r : run_.horizon.remarks) observer_.line(r);
  plan_memory();
  start_guard(true);
  watchdog_->pause();  // loading takes its time, but no rank may stand still meanwhile
  load();
  agree(comm_, [&] {
    if (!leads()) return;
    log_.emplace(config_.proj_dir, config_, state_.step);
    log_->start(config_, cat("{\"zero\": ", zero_, ", \"ranks\": ", comm_.size(), ", \"comm\": \"", comm_.backend(), "\"}"));
  });
  saving_->start(*watchdog_, state_, run_.start);
  watchdog_->resume();
  while (!run_.horizon.reached(state_.step) && !stops_early_) {
    if (!queue_step()) return leave_step();
    after_step();
    if (flag(kStop) && !run_.horizon.reached(state_.step)) return finish(true);
  }
  return finish(false);
}

void Trainer::start_guard(bool writes) {
  guard_.emplace(GuardedRun{config_, comm_, bare(), *run_.model, *shards_, *run_.samples, observer_, flags_}, writes);
  watchdog_ = &guard_->watchdog();
}

void Trainer::replay(int64_t last_step) {
  run_ = open_run(config_, comm_, machine_, bare(), observer_);
  plan_memory();
  load();
  start_guard(false);
  const auto saved = state_.extra.find("state_hash");
  if (const std::string loaded = guard_->state_hash(); saved != state_.extra.end() && saved->second != loaded)
    fail(cat("the state of ", run_.start.path, " has the hash ", loaded, " here and had ", saved->second, " when it was saved"),
         ExitCode::failure);
  while (state_.step < last_step) {
    if (!queue_step()) fail(cat(path("stop"), " asks the run to stop; remove it to replay"));
    StepReport r = collect();
    r.hash = guard_->state_hash();
    observer_.step(r);
  }
}

ExitCode drive(Trainer& trainer, Comm& comm, std::optional<int64_t> replay_to) {
  try {
    if (!replay_to) return trainer.run();
    trainer.replay(*replay_to);
    return ExitCode::done;
  } catch (...) {
    comm.give_up();  // before the memory goes that its collectives use
    throw;
  }
}

}  // namespace

ExitCode train(const RunConfig& config, Comm& comm, const Machine& machine, Observer& observer, StopFlags& flags) {
  if (config.train_stage == 1) return write_init(config, comm, machine, observer);
  Trainer trainer(config, comm, machine, observer, flags);
  return drive(trainer, comm, std::nullopt);
}

void replay(const RunConfig& config, Comm& comm, const Machine& machine, Observer& observer, int64_t last_step) {
  StopFlags none;
  Trainer trainer(config, comm, machine, observer, none);
  drive(trainer, comm, last_step);
}

}  // namespace rk
