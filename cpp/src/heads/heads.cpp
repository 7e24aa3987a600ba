#include "labelquorum/heads.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/aligned_buffer.hpp"
#include "base/hash.hpp"
#include "base/read_once.hpp"
#include "heads/head_kernels.hpp"

namespace labelquorum {
namespace {

// Heads that one thread trains together: their weights and what a thread works on stay in its
// cache.
constexpr std::size_t max_lines_per_group = 192;
// Between two looks at the threads (progress, balance): about a tenth of a second.
constexpr double operations_between_runs = 5e9;

constexpr double mean_share = 0.1;    // of the running mean that a step replaces
constexpr double least_mean = 1e-30;  // its logarithm is finite
constexpr double first_decay = 0.9;   // of AdamW's mean of gradients, and of their squares
constexpr double second_decay = 0.999;

template <class Real>
class Numbers {
public:
    explicit Numbers(std::size_t n) : size_(n) { buffer_.resize(n * sizeof(Real)); }

    Real* data() { return buffer_.template as<Real>(); }
    const Real* data() const { return buffer_.template as<Real>(); }
    void clear() { std::fill_n(data(), size_, Real{0}); }

private:
    AlignedBuffer buffer_;
    std::size_t size_;
};

// All rows as values, and after them a row of zeros.
template <class Real>
class PreparedRows {
public:
    PreparedRows(const RowsView<Real>& rows, const HeadKernels<Real>& kernels,
                 const Executor& executor)
        : n_padded_((rows.n_columns + kernels.column_multiple - 1) / kernels.column_multiple *
                    kernels.column_multiple),
          row_bytes_(n_padded_ * kernels.value_bytes),
          n_rows_(rows.n_rows) {
        executor.require_memory((n_rows_ + 1) * (row_bytes_ + sizeof(Real)), "the rows of heads");
        values_.resize((n_rows_ + 1) * row_bytes_);
        scales_.resize(n_rows_ + 1);
        constexpr std::size_t rows_at_once = 1024;
        executor.run_ranges(
            n_rows_ + 1, rows_at_once, [&](std::size_t begin, std::size_t end, int) {
                for (std::size_t r = begin; r < end; ++r) {
                    const bool is_row = r < n_rows_;
                    scales_[r] = kernels.put_row(rows.values + (is_row ? r * rows.n_columns : 0),
                                                 is_row ? rows.n_columns : 0, n_padded_,
                                                 values_.as<char>() + r * row_bytes_);
                }
            });
    }

    std::size_t n_padded() const { return n_padded_; }
    std::size_t zeros() const { return n_rows_; }
    const void* values(std::size_t row) const { return values_.as<char>() + row * row_bytes_; }
    Real scale(std::size_t row) const { return scales_[row]; }

private:
    std::size_t n_padded_;
    std::size_t row_bytes_;
    std::size_t n_rows_;
    AlignedBuffer values_;
    std::vector<Real> scales_;
};

struct RowPair {
    std::size_t first;
    std::size_t second;
};

// What a thread works on: the pairs of a step; of one block of them, the packed rows, the logits
// and their gradient.
template <class Real>
struct Workspace {
    Workspace(const HeadKernels<Real>& kernels, std::size_t n_lines, std::size_t n_clusters,
              std::size_t n_padded)
        : logits(2 * n_lines * rows_per_block),
          scratch(2 * n_clusters * kernels.lanes),
          gradient_scales(n_lines) {
        by_columns.resize(rows_per_block * n_padded * kernels.value_bytes);
        by_rows.resize(rows_per_block * n_padded * kernels.value_bytes);
        gradient.resize(n_lines * rows_per_block * kernels.value_bytes);
    }

    std::vector<RowPair> pairs;
    AlignedBuffer by_columns;
    AlignedBuffer by_rows;
    Numbers<Real> logits;  // the student's lines, then the teacher's
    Numbers<Real> scratch;
    AlignedBuffer gradient;
    std::vector<LineScale<Real>> gradient_scales;
};

// Some heads of the same shape: their weights, and the loss over pairs with its gradient.
template <class Real>
class HeadGroup {
public:
    HeadGroup(const HeadKernels<Real>& kernels, const PreparedRows<Real>& rows,
              const HeadShape& shape, const HeadObjective& objective)
        : kernels_(kernels),
          rows_(rows),
          shape_(shape),
          objective_(objective),
          n_lines_(shape.n_heads * shape.n_clusters),
          n_padded_(rows.n_padded()),
          student_(n_lines_ * n_padded_),
          teacher_(n_lines_ * n_padded_),
          gradient_(n_lines_ * n_padded_),
          loss_sums_(shape.n_heads * kernels.lanes),
          mean_sums_(n_lines_ * kernels.lanes),
          log_means_(n_lines_),
          direction_scales_(2 * n_lines_) {
        directions_.resize(2 * n_lines_ * n_padded_ * kernels.value_bytes);
    }

    Workspace<Real> workspace() const {
        return Workspace<Real>(kernels_, n_lines_, shape_.n_clusters, n_padded_);
    }

    void set_student(const Real* weights) { put(weights, student_); }
    void set_teacher(const Real* weights) { put(weights, teacher_); }
    void set_log_means(const Real* log_means) {
        std::copy_n(log_means, n_lines_, log_means_.data());
    }

    void get_gradient(Real* gradient) const { get(gradient_, gradient); }

    // The teacher's directions.
    void get_directions(Real* directions) {
        for (std::size_t line = 0; line < n_lines_; ++line) {
            kernels_.normalize(teacher_.data() + line * n_padded_, n_padded_);
        }
        get(teacher_, directions);
    }

    // Computes the sum of losses of each head, the gradient of the mean loss with respect to the
    // student's weights, and the sums of the teacher's probabilities.
    void evaluate(Workspace<Real>& work) {
        const Real scale = static_cast<Real>(1 / objective_.temperature);
        for (std::size_t line = 0; line < n_lines_; ++line) {
            direct(student_, line, scale, line);
            direct(teacher_, line, scale, n_lines_ + line);
        }
        gradient_.clear();
        loss_sums_.clear();
        mean_sums_.clear();
        const std::size_t n_pairs = work.pairs.size();
        for (std::size_t begin = 0; begin < n_pairs; begin += pairs_per_block) {
            add_block(begin, work);
        }
        for (std::size_t line = 0; line < n_lines_; ++line) {
            kernels_.through_length(student_.data() + line * n_padded_, n_padded_, scale,
                                    gradient_.data() + line * n_padded_);
        }
    }

    double loss_sum(std::size_t head) const { return sum_of_lanes(loss_sums_, head); }

    void replace_means(std::vector<double>& means, std::size_t n_pairs) {
        for (std::size_t line = 0; line < n_lines_; ++line) {
            const double mean = sum_of_lanes(mean_sums_, line) / (2 * static_cast<double>(n_pairs));
            means[line] += mean_share * (mean - means[line]);
            log_means_.data()[line] =
                static_cast<Real>(std::log(std::max(means[line], least_mean)));
        }
    }

    std::size_t n_lines() const { return n_lines_; }
    std::size_t n_padded() const { return n_padded_; }

    void update(const AdamStep<Real>& step, Real* means, Real* squares) {
        const std::size_t n = n_lines_ * n_padded_;
        kernels_.update(gradient_.data(), n, step, means, squares, student_.data(),
                        teacher_.data());
    }

private:
    void put(const Real* weights, Numbers<Real>& to) const {
        to.clear();
        for (std::size_t line = 0; line < n_lines_; ++line) {
            std::copy_n(weights + line * shape_.n_columns, shape_.n_columns,
                        to.data() + line * n_padded_);
        }
    }

    void get(const Numbers<Real>& from, Real* weights) const {
        for (std::size_t line = 0; line < n_lines_; ++line) {
            std::copy_n(from.data() + line * n_padded_, shape_.n_columns,
                        weights + line * shape_.n_columns);
        }
    }

    void direct(const Numbers<Real>& weights, std::size_t line, Real scale, std::size_t place) {
        direction_scales_[place] = kernels_.direct(
            weights.data() + line * n_padded_, n_padded_, scale,
            directions_.template as<char>() + place * n_padded_ * kernels_.value_bytes);
    }

    double sum_of_lanes(const Numbers<Real>& sums, std::size_t place) const {
        double sum = 0;
        for (std::size_t lane = 0; lane < kernels_.lanes; ++lane) {
            sum += static_cast<double>(sums.data()[place * kernels_.lanes + lane]);
        }
        return sum;
    }

    void add_block(std::size_t begin, Workspace<Real>& work) {
        const std::size_t n_pairs = work.pairs.size();
        const void* rows[rows_per_block];
        Real row_scales[rows_per_block];
        Real counted[pairs_per_block];
        for (std::size_t p = 0; p < pairs_per_block; ++p) {
            const bool is_pair = begin + p < n_pairs;
            const RowPair pair =
                is_pair ? work.pairs[begin + p] : RowPair{rows_.zeros(), rows_.zeros()};
            rows[p] = rows_.values(pair.first);
            row_scales[p] = rows_.scale(pair.first);
            rows[pairs_per_block + p] = rows_.values(pair.second);
            row_scales[pairs_per_block + p] = rows_.scale(pair.second);
            counted[p] = is_pair ? Real{1} : Real{0};
        }
        auto* by_columns = work.by_columns.template as<char>();
        auto* by_rows = work.by_rows.template as<char>();
        auto* gradient = work.gradient.template as<char>();
        kernels_.pack(rows, n_padded_, by_columns, by_rows);
        Real* student = work.logits.data();
        Real* teacher = student + n_lines_ * rows_per_block;
        kernels_.multiply(directions_.template as<char>(), direction_scales_.data(), 2 * n_lines_,
                          by_columns, row_scales, n_padded_, student);
        const auto scale = static_cast<Real>(1 / static_cast<double>(n_pairs));
        for (std::size_t head = 0; head < shape_.n_heads; ++head) {
            const std::size_t line = head * shape_.n_clusters;
            kernels_.pair_losses(student + line * rows_per_block, teacher + line * rows_per_block,
                                 shape_.n_clusters, static_cast<Real>(objective_.sharing),
                                 log_means_.data() + line, counted, scale, work.scratch.data(),
                                 loss_sums_.data() + head * kernels_.lanes,
                                 mean_sums_.data() + line * kernels_.lanes);
        }
        kernels_.put_gradient(student, row_scales, n_lines_, gradient, work.gradient_scales.data());
        kernels_.accumulate(gradient, work.gradient_scales.data(), n_lines_, by_rows, n_padded_,
                            gradient_.data());
    }

    const HeadKernels<Real>& kernels_;
    const PreparedRows<Real>& rows_;
    HeadShape shape_;
    HeadObjective objective_;
    std::size_t n_lines_;
    std::size_t n_padded_;
    Numbers<Real> student_;
    Numbers<Real> teacher_;
    Numbers<Real> gradient_;
    AlignedBuffer directions_;  // the student's lines, then the teacher's
    Numbers<Real> loss_sums_;
    Numbers<Real> mean_sums_;
    Numbers<Real> log_means_;
    std::vector<LineScale<Real>> direction_scales_;
};

// Heads in training.
class Trainee {
public:
    Trainee(const HeadKernels<float>& kernels, const PreparedRows<float>& rows,
            const HeadShape& shape, const HeadObjective& objective, const float* weights)
        : group_(kernels, rows, shape, objective),
          gradient_means_(group_.n_lines() * group_.n_padded()),
          gradient_squares_(group_.n_lines() * group_.n_padded()),
          means_(group_.n_lines(), 1 / static_cast<double>(shape.n_clusters)),
          losses_(shape.n_heads) {
        group_.set_student(weights);
        group_.set_teacher(weights);
        const std::vector<float> log_means(group_.n_lines(),
                                           -std::log(static_cast<float>(shape.n_clusters)));
        group_.set_log_means(log_means.data());
        gradient_means_.clear();
        gradient_squares_.clear();
    }

    Workspace<float> workspace() const { return group_.workspace(); }

    void step(const AdamStep<float>& adam, bool counts, Workspace<float>& work) {
        group_.evaluate(work);
        const std::size_t n_pairs = work.pairs.size();
        group_.update(adam, gradient_means_.data(), gradient_squares_.data());
        group_.replace_means(means_, n_pairs);
        if (!counts) return;
        for (std::size_t head = 0; head < losses_.size(); ++head) {
            losses_[head] += group_.loss_sum(head) / static_cast<double>(n_pairs);
        }
    }

    void get(std::size_t n_counted, float* directions, float* losses) {
        group_.get_directions(directions);
        for (std::size_t head = 0; head < losses_.size(); ++head) {
            losses[head] = static_cast<float>(losses_[head] / static_cast<double>(n_counted));
        }
    }

private:
    HeadGroup<float> group_;
    Numbers<float> gradient_means_;
    Numbers<float> gradient_squares_;
    std::vector<double> means_;
    std::vector<double> losses_;
};

void require(bool holds, const std::string& message) {
    if (!holds) throw std::invalid_argument(message);
}

void check(const HeadShape& shape, const HeadObjective& objective, std::size_t n_rows,
           std::size_t n_columns) {
    require(n_rows > 0, "rows must have at least 1 row, got 0.");
    require(shape.n_heads > 0 && shape.n_clusters > 0 && shape.n_columns > 0,
            "n_heads, n_clusters and n_columns must be at least 1.");
    require(n_columns == shape.n_columns, "rows must have " + std::to_string(shape.n_columns) +
                                              " columns, as weights do, got " +
                                              std::to_string(n_columns) + ".");
    require(objective.temperature > 0 && std::isfinite(objective.temperature),
            "temperature must be a positive number.");
    require(objective.sharing > 0 && objective.sharing <= 1, "sharing must be in (0, 1].");
}

void check_size(std::size_t found, std::size_t wanted, const char* name) {
    require(found == wanted, std::string(name) + " must hold " + std::to_string(wanted) +
                                 " numbers, got " + std::to_string(found) + ".");
}

template <class Index>
std::size_t checked_row(Index index, std::size_t n_rows, const char* name) {
    const auto row = static_cast<std::size_t>(index);
    if (index < 0 || row >= n_rows) {
        throw std::invalid_argument(std::string(name) + " must hold row numbers from 0 to " +
                                    std::to_string(n_rows - 1) + ", got " + std::to_string(index) +
                                    ".");
    }
    return row;
}

// The length of a step of AdamW, falling along half a cosine.
AdamStep<float> adam_step(const HeadTraining& training, std::size_t step, std::size_t n_steps) {
    const double done = static_cast<double>(step) / static_cast<double>(n_steps);
    const double rate = training.rate * (1 + std::cos(std::numbers::pi * done)) / 2;
    const auto number = static_cast<double>(step + 1);
    AdamStep<float> adam{};
    adam.rate = static_cast<float>(rate / (1 - std::pow(first_decay, number)));
    adam.kept = static_cast<float>(1 - rate * training.decay);
    adam.square_scale = static_cast<float>(1 / (1 - std::pow(second_decay, number)));
    adam.momentum = static_cast<float>(training.momentum);
    return adam;
}

double share_of(std::uint64_t word) { return static_cast<double>(word >> 11) * 0x1p-53; }

}  // namespace

HeadPair draw_pair(std::uint64_t seed, std::uint64_t number, std::size_t n_rows,
                   std::size_t n_neighbors) {
    const std::uint64_t first = mix(mix(seed) + 2 * number + 1);
    const std::uint64_t second = mix(mix(seed) + 2 * number + 2);
    return {static_cast<std::size_t>(share_of(first) * static_cast<double>(n_rows)),
            static_cast<std::size_t>(share_of(second) * static_cast<double>(n_neighbors))};
}

template <class Index>
void train_heads(const RowsView<float>& rows, const NeighborsView<Index>& neighbors,
                 const HeadShape& shape, const HeadTraining& training, std::span<float> weights,
                 std::span<float> losses, const Executor& executor) {
    check(shape, training.objective, rows.n_rows, rows.n_columns);
    check_size(weights.size(), shape.n_weights(), "weights");
    check_size(losses.size(), shape.n_heads, "losses");
    require(training.n_passes > 0 && training.batch_size > 0,
            "n_passes and batch_size must be at least 1.");
    require(
        training.rate > 0 && training.decay >= 0 && training.momentum >= 0 && training.momentum < 1,
        "rate must be positive, decay at least 0, and momentum in [0, 1).");
    // All of them: whether there is an error must not depend on what is drawn.
    for (std::size_t i = 0; i < rows.n_rows * neighbors.n_neighbors; ++i) {
        checked_row(read_once(neighbors.indices + i), rows.n_rows, "neighbors");
    }
    const std::size_t batch = std::min(training.batch_size, rows.n_rows);
    const std::size_t n_steps = training.n_passes * (rows.n_rows / batch);
    const std::size_t first_counted = n_steps * 3 / 4;

    const HeadKernels<float>& kernels = head_kernels<float>();
    const auto n_threads = static_cast<std::size_t>(executor.n_threads());
    const std::size_t heads_per_group =
        std::clamp<std::size_t>((shape.n_heads + n_threads - 1) / n_threads, 1,
                                std::max<std::size_t>(1, max_lines_per_group / shape.n_clusters));
    executor.require_memory(28 * shape.n_weights(), "the weights of heads");
    const PreparedRows<float> prepared(rows, kernels, executor.without_progress());
    std::vector<Trainee> groups;
    groups.reserve(shape.n_heads);
    for (std::size_t head = 0; head < shape.n_heads; head += heads_per_group) {
        HeadShape part = shape;
        part.n_heads = std::min(heads_per_group, shape.n_heads - head);
        groups.emplace_back(kernels, prepared, part, training.objective,
                            weights.data() + head * shape.n_clusters * shape.n_columns);
    }
    const int n_workers = executor.n_workers(groups.size());
    std::vector<Workspace<float>> workspaces;
    workspaces.reserve(static_cast<std::size_t>(n_workers));
    for (int worker = 0; worker < n_workers; ++worker) {
        workspaces.push_back(groups.front().workspace());
    }

    const auto draw = [&](std::size_t step, std::vector<RowPair>& pairs) {
        pairs.clear();
        for (std::size_t number = step * batch; number < (step + 1) * batch; ++number) {
            const auto [row, slot] =
                draw_pair(training.seed, number, rows.n_rows, neighbors.n_neighbors);
            std::size_t other = row;
            if (neighbors.n_neighbors > 0) {
                other =
                    checked_row(read_once(neighbors.indices + row * neighbors.n_neighbors + slot),
                                rows.n_rows, "neighbors");
            }
            pairs.push_back({row, other});
        }
    };
    const double operations_per_step = 12.0 * static_cast<double>(batch) *
                                       static_cast<double>(shape.n_weights()) /
                                       static_cast<double>(n_threads);
    const auto steps_per_run = static_cast<std::size_t>(
        std::clamp(operations_between_runs / operations_per_step, 1.0, 1e6));
    for (std::size_t begin = 0; begin < n_steps; begin += steps_per_run) {
        const std::size_t end = std::min(n_steps, begin + steps_per_run);
        const auto share = [&](std::size_t step) {
            return static_cast<double>(step) / static_cast<double>(n_steps);
        };
        executor.stage("training heads", share(begin), share(end));
        executor.run(groups.size(), [&](std::size_t group, int worker) {
            Workspace<float>& work = workspaces[static_cast<std::size_t>(worker)];
            for (std::size_t step = begin; step < end; ++step) {
                executor.checkpoint();
                draw(step, work.pairs);
                groups[group].step(adam_step(training, step, n_steps), step >= first_counted, work);
            }
        });
    }
    for (std::size_t group = 0; group < groups.size(); ++group) {
        const std::size_t head = group * heads_per_group;
        groups[group].get(n_steps - first_counted,
                          weights.data() + head * shape.n_clusters * shape.n_columns,
                          losses.data() + head);
    }
}

template <class Real>
void head_losses(const RowsView<Real>& rows, std::span<const std::int64_t> pairs,
                 const HeadShape& shape, const HeadObjective& objective,
                 std::span<const Real> student, std::span<const Real> teacher,
                 std::span<const Real> log_means, std::span<Real> losses,
                 std::span<Real> gradient) {
    check(shape, objective, rows.n_rows, rows.n_columns);
    require(!pairs.empty() && pairs.size() % 2 == 0, "pairs must hold at least one pair.");
    check_size(student.size(), shape.n_weights(), "student");
    check_size(teacher.size(), shape.n_weights(), "teacher");
    check_size(log_means.size(), shape.n_heads * shape.n_clusters, "log_means");
    check_size(losses.size(), shape.n_heads, "losses");
    check_size(gradient.size(), shape.n_weights(), "gradient");
    const PreparedRows<Real> prepared(rows, head_kernels<Real>(), Executor(1));
    HeadGroup<Real> group(head_kernels<Real>(), prepared, shape, objective);
    group.set_student(student.data());
    group.set_teacher(teacher.data());
    group.set_log_means(log_means.data());
    Workspace<Real> work = group.workspace();
    for (std::size_t p = 0; p < pairs.size(); p += 2) {
        work.pairs.push_back({checked_row(pairs[p], rows.n_rows, "pairs"),
                              checked_row(pairs[p + 1], rows.n_rows, "pairs")});
    }
    group.evaluate(work);
    for (std::size_t head = 0; head < shape.n_heads; ++head) {
        losses[head] =
            static_cast<Real>(group.loss_sum(head) * 2 / static_cast<double>(pairs.size()));
    }
    group.get_gradient(gradient.data());
}

template void train_heads(const RowsView<float>&, const NeighborsView<std::int32_t>&,
                          const HeadShape&, const HeadTraining&, std::span<float>, std::span<float>,
                          const Executor&);
template void train_heads(const RowsView<float>&, const NeighborsView<std::int64_t>&,
                          const HeadShape&, const HeadTraining&, std::span<float>, std::span<float>,
                          const Executor&);
template void head_losses(const RowsView<float>&, std::span<const std::int64_t>, const HeadShape&,
                          const HeadObjective&, std::span<const float>, std::span<const float>,
                          std::span<const float>, std::span<float>, std::span<float>);
template void head_losses(const RowsView<double>&, std::span<const std::int64_t>, const HeadShape&,
                          const HeadObjective&, std::span<const double>, std::span<const double>,
                          std::span<const double>, std::span<double>, std::span<double>);

}  // namespace labelquorum
