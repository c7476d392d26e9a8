#include "launch/rendezvous/lead.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "comm/places.h"
#include "launch/child_process.h"
#include "launch/mpirun.h"
#include "launch/rendezvous/agent.h"
#include "launch/run_record.h"
#include "launch/signal_queue.h"
#include "launch/signals.h"
#include "train/bad_steps.h"
#include "train/checkpoint.h"

extern char** environ;

namespace rk {
namespace {

constexpr std::chrono::milliseconds tick{500};
constexpr std::chrono::seconds pause_before_restart{2};
constexpr std::chrono::seconds mpirun_grace{8};    // after SIGTERM; it gives each of its stages a second
constexpr std::chrono::seconds daemons_grace{30};  // for the other nodes to end what belongs to a run that is over
constexpr std::chrono::seconds farewell{5};

// What every rank is to have of node 0's environment; the rest is each node's own.
std::vector<std::string> shared_environment() {
  std::vector<std::string> shared;
  for (char** variable = environ; *variable; ++variable) {
    const std::string text = *variable;
    for (const char* prefix : {"ROOKERY_", "NCCL_", "OMPI_MCA_"})
      if (text.starts_with(prefix) && !text.starts_with("ROOKERY_SECRET_FILE=")) shared.push_back(text);
  }
  return shared;
}

struct Member {
  Node node;
  bool running = false;  // a daemon of the run
};

class Leader {
 public:
  Leader(const Job& job, std::vector<Node> nodes);
  int run();

 private:
  MpirunPlan plan() const;
  int run_once();
  void end_daemons();
  void wait_a_moment(std::chrono::seconds time);
  bool restarts(int code, int n_restarts);
  void say_farewell(Message::Kind kind, int code);

  void poll_once();
  void on_signal(int signal);
  void hear(Member& member, const Message& message);
  bool start_daemon(const std::string& node, const std::string& command);
  void drop_lost();
  void pass_to_ranks(int signal) {
    if (mpirun_) mpirun_->signal(signal);
  }
  bool ranks_listen() const;
  void tell_ranks();
  void stand_still();

  Job job_;
  std::vector<Member> members_;
  SignalQueue signals_;
  std::unique_ptr<AgentDesk> desk_;
  std::unique_ptr<ChildProcess> mpirun_;
  int requests_ = 0;
  bool asked_to_stop_ = false;  // by whatever way; then nothing is started again
  bool told_ = false;           // the ranks, so
  bool leaving_ = false;        // at once
  std::string lost_;            // nodes that were lost during this start
};

Leader::Leader(const Job& job, std::vector<Node> nodes) : job_(job) {
  for (Node& node : nodes) members_.push_back({std::move(node)});
  if (!members_.empty()) desk_ = std::make_unique<AgentDesk>();
}

MpirunPlan Leader::plan() const {
  MpirunPlan p;
  p.words = job_.words;
  p.program = own_path();
  p.nproc_per_node = job_.nproc_per_node;
  p.crowded = job_.nproc_per_node > n_cores();
  p.folder = job_.folder;
  if (members_.empty()) return p;
  p.agent = desk_->agent();
  std::vector<std::string> networks{job_.network}, hosts{host_name()};
  for (const Member& m : members_) {
    p.other_nodes.push_back(node_name(m.node.who.node_rank));
    p.one_host = p.one_host || std::find(hosts.begin(), hosts.end(), m.node.who.host) != hosts.end();
    hosts.push_back(m.node.who.host);
    p.crowded = p.crowded || job_.nproc_per_node > m.node.who.n_cores;
    if (std::find(networks.begin(), networks.end(), m.node.who.network) == networks.end()) networks.push_back(m.node.who.network);
  }
  p.crowded = p.crowded || (p.one_host && p.n_ranks() > n_cores());
  for (const std::string& network : networks) p.networks += cat(p.networks.empty() ? "" : ",", network);
  return p;
}

bool Leader::start_daemon(const std::string& name, const std::string& command) {
  for (Member& m : members_) {
    if (node_name(m.node.who.node_rank) != name) continue;
    Message start{Message::Kind::start, {name, command}};
    for (const std::string& variable : shared_environment()) start.words.push_back(variable);
    m.node.link.send(start);
    m.running = true;
    return true;
  }
  return false;
}

void Leader::hear(Member& member, const Message& message) {
  if (message.kind == Message::Kind::output) {
    const std::string text = message.word(0);
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    (void)written;  // a closed terminal is no reason to stop
  } else if (message.kind == Message::Kind::ended) {
    member.running = false;
    if (desk_) desk_->ended(node_name(member.node.who.node_rank), message.number(0));
  } else if (message.kind == Message::Kind::request) {
    const int signal = message.number(0);
    if (signal == SIGUSR1 && !asked_to_stop_) log_info(cat("asked to stop on ", member.node.text()));
    if (signal == SIGUSR1) asked_to_stop_ = true;
    if (signal == SIGUSR2 && ranks_listen()) pass_to_ranks(signal);
  } else if (message.kind == Message::Kind::leave) {
    log_info(cat("asked on ", member.node.text(), " to leave at once"));
    leaving_ = true;
  }
}

// A rank that is just starting would die by USR1.
bool Leader::ranks_listen() const {
  if (job_.proj_dir.empty()) return true;
  const RunRecord record = read_run_record(job_.proj_dir);
  return record.here() && record.alive();
}

void Leader::tell_ranks() {
  if (!asked_to_stop_ || told_ || !ranks_listen()) return;
  pass_to_ranks(SIGUSR1);
  told_ = true;
}

// Ctrl+Z. The others must not take the silence for a death.
void Leader::stand_still() {
  for (Member& m : members_) m.node.link.send({Message::Kind::suspended, {}});
  pass_to_ranks(SIGTSTP);
  ::raise(SIGSTOP);  // goes on below when the shell continues this job
  for (Member& m : members_) m.node.link.send({Message::Kind::alive, {}});
  pass_to_ranks(SIGCONT);
}

void Leader::on_signal(int signal) {
  if (signal == SIGCHLD) return;  // looked at in the loop
  if (signal == SIGTSTP) return stand_still();
  if (signal == SIGUSR2) {
    if (ranks_listen()) pass_to_ranks(signal);
    return;
  }
  asked_to_stop_ = true;
  if (!asks_to_stop(signal)) return;
  ++requests_;
  if (requests_ == 1) write_notice(first_stop_notice);
  if (requests_ == 2) write_notice(second_stop_notice);
  leaving_ = requests_ > 2;
}

void Leader::drop_lost() {
  for (Member& m : members_) {
    m.node.link.keep_alive(Clock::now());
    if (m.node.link.fault().empty()) continue;
    log_error(cat(m.node.text(), " is lost: ", m.node.link.fault()));
    lost_ += cat(lost_.empty() ? "" : " and ", m.node.text());
  }
  std::erase_if(members_, [](const Member& m) { return !m.node.link.fault().empty(); });
}

void Leader::poll_once() {
  std::vector<pollfd> fds{{signals_.fd(), POLLIN, 0}};
  for (const Member& m : members_)
    fds.push_back({m.node.link.fd(), static_cast<short>(m.node.link.has_output() ? POLLIN | POLLOUT : POLLIN), 0});
  if (desk_)
    for (int fd : desk_->fds()) fds.push_back({fd, POLLIN, 0});
  ::poll(fds.data(), fds.size(), static_cast<int>(tick.count()));
  while (const std::optional<int> signal = signals_.next()) on_signal(*signal);
  if (desk_) desk_->attend([this](const std::string& node, const std::string& command) { return start_daemon(node, command); });
  for (Member& m : members_) {
    m.node.link.flush();
    m.node.link.receive();
    while (const std::optional<Message> message = m.node.link.next()) hear(m, *message);
  }
  drop_lost();
}

// Until mpirun has ended; its exit code.
int Leader::run_once() {
  ChildStart start;
  start.command = mpirun_command(plan());
  start.without = unwanted_variables();
  start.mask = signals_.mask_before();
  start.advice = ", which a run of several ranks needs; install Open MPI";
  if (::geteuid() == 0) start.environment = {"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"};  // containers
  if (!job_.interface.empty() && !std::getenv("NCCL_SOCKET_IFNAME")) start.environment.push_back("NCCL_SOCKET_IFNAME==" + job_.interface);
  lost_.clear();
  const size_t n_members = members_.size();
  mpirun_ = std::make_unique<ChildProcess>(start);
  const int n_ranks = job_.nproc_per_node * static_cast<int>(n_members + 1);
  log_info(cat("started ", n_ranks, n_ranks == 1 ? " rank" : " ranks", " under mpirun",
               members_.empty() ? "" : cat(" on ", n_members + 1, " nodes"), "; Ctrl+C saves and stops"));
  std::optional<Clock::time_point> kill_at;
  const auto give_up = [&] {
    mpirun_->signal(SIGTERM);
    kill_at = Clock::now() + mpirun_grace;
  };
  const auto began = Clock::now();
  bool met = job_.start_limit_s == 0;
  while (!mpirun_->exit_code() && !leaving_) {
    poll_once();
    if (members_.size() < n_members && !kill_at) give_up();  // mpirun would wait for the lost node for a minute and longer
    met = met || ranks_listen();
    if (!met && !kill_at && Clock::now() - began > std::chrono::duration<double>(job_.start_limit_s)) {
      // A rank that stands still before the ranks have met is noticed by no other.
      log_error(cat("the ranks have not met within ", job_.start_limit_s, " s: one of them hangs"));
      give_up();
    }
    if (kill_at && Clock::now() >= *kill_at) mpirun_->signal(SIGKILL);
    tell_ranks();
  }
  return mpirun_->exit_code().value_or(static_cast<int>(ExitCode::left_at_once));
}

// After mpirun: no daemon and no rank is left anywhere before something new begins.
void Leader::end_daemons() {
  const auto is_running = [](const Member& m) { return m.running; };
  for (Member& m : members_)
    if (m.running) m.node.link.send({Message::Kind::stop, {}});
  const auto until = Clock::now() + daemons_grace;
  while (!leaving_ && std::any_of(members_.begin(), members_.end(), is_running)) {
    poll_once();
    if (Clock::now() < until) continue;
    for (Member& m : members_)
      if (m.running) log_error(cat(m.node.text(), " does not end its ranks; look there for processes of rookery"));
    std::erase_if(members_, is_running);
  }
  if (desk_) desk_->forget_all();
}

void Leader::wait_a_moment(std::chrono::seconds time) {
  const auto until = Clock::now() + time;
  while (Clock::now() < until && !leaving_ && !asked_to_stop_) poll_once();
}

// Whether to start again; says why or why not.
bool Leader::restarts(int code, int n_restarts) {
  if (!worth_a_restart(code)) return false;
  // The same steps would be as bad again.
  if (!job_.proj_dir.empty() && std::filesystem::exists(job_.proj_dir + "/" + bad_steps_file)) return false;
  const int n_nodes = static_cast<int>(members_.size()) + 1;
  std::string why = lost_.empty() ? explanation(code) : lost_ + " was lost";
  if (why.empty()) why = cat("the run ended with exit code ", code);
  if (n_nodes < job_.min_nnodes) {
    log_error(cat(why, ", and the run needs ", job_.min_nnodes, " nodes (--nnodes ", std::max(1, n_nodes), ":", job_.nnodes,
                  " with --max_restarts would go on with fewer); continue with --resume auto"));
    return false;
  }
  if (n_restarts >= job_.max_restarts || asked_to_stop_) {
    if (!lost_.empty() || !explanation(code).empty()) log_error(why + "; continue with --resume auto");
    return false;
  }
  const bool shrunk = n_nodes < job_.nnodes;
  log_warning(cat("restart ", n_restarts + 1, " of ", job_.max_restarts, ": ", why,
                  shrunk ? cat("; going on with ", n_nodes, n_nodes == 1 ? " node" : " nodes") : ""));
  job_.words = words_of_restart(shrunk ? words_for(job_, n_nodes) : job_.words);
  return true;
}

// Tells all nodes and waits until they have heard it.
void Leader::say_farewell(Message::Kind kind, int code) {
  for (Member& m : members_) {
    m.node.link.send({kind, {cat(code)}});
    if (!m.node.link.has_output()) m.node.link.finish();
  }
  const auto until = Clock::now() + farewell;
  while (!members_.empty() && Clock::now() < until) {
    std::vector<pollfd> fds;
    for (const Member& m : members_)
      fds.push_back({m.node.link.fd(), static_cast<short>(m.node.link.has_output() ? POLLIN | POLLOUT : POLLIN), 0});
    ::poll(fds.data(), fds.size(), 100);
    for (Member& m : members_) {
      const bool had_output = m.node.link.has_output();
      m.node.link.flush();
      if (had_output && !m.node.link.has_output()) m.node.link.finish();
      m.node.link.receive();
      while (m.node.link.next()) continue;
    }
    std::erase_if(members_, [](const Member& m) { return !m.node.link.fault().empty(); });
  }
}

int Leader::run() {
  for (int n_restarts = 0;; ++n_restarts) {
    int code = run_once();
    if (!leaving_) end_daemons();
    const bool pauses = worth_a_restart(code) && n_restarts < job_.max_restarts && !asked_to_stop_;
    if (pauses) wait_a_moment(pause_before_restart);
    if (leaving_) {
      write_notice(third_stop_notice);
      pass_to_ranks(SIGTERM);
      say_farewell(Message::Kind::leave, 0);
      return static_cast<int>(ExitCode::left_at_once);
    }
    if (pauses && asked_to_stop_)
      code = static_cast<int>(ExitCode::interrupted);  // between two starts: the newest checkpoint stands
    else if (restarts(code, n_restarts))
      continue;
    code = exit_code_for_user(code);
    say_farewell(Message::Kind::finish, code);
    return code;
  }
}

}  // namespace

std::vector<std::string> words_for(const Job& job, int n_nodes) {
  std::vector<std::string> skipped;
  const bool from_the_start = !newest_checkpoint(job.proj_dir, skipped);
  return words_on_nodes(job.words, job.nproc_per_node, n_nodes, from_the_start ? job.global_bsz : 0);
}

int lead(const Job& job, std::vector<Node> nodes) { return Leader(job, std::move(nodes)).run(); }

}  // namespace rk
