#include "cell_search.hpp"

#include <bit>
#include <cmath>
#include <numeric>

namespace labelquorum {
namespace {

constexpr float no_limit = std::numeric_limits<float>::infinity();
constexpr float no_number = std::numeric_limits<float>::quiet_NaN();

}  // namespace

void CellSearch::run(const Task& task, const Effort& effort) {
    begin(task, effort.n_shortlist);
    list_visits(effort.reach);
    visitors_.resize(near_.size());
    for (auto& visitors : visitors_) visitors.clear();
    for (std::size_t q = 0; q < n_; ++q) {
        std::vector<Visit>& visits = visits_[q];
        if (radii_[q] == no_limit) {
            std::sort(visits.begin(), visits.end());
            visits.resize(n_needed(visits, effort.n_cells));
        } else if (visits.size() + 1 > effort.n_cells) {
            const auto end = visits.begin() + static_cast<std::ptrdiff_t>(effort.n_cells - 1);
            std::nth_element(visits.begin(), end, visits.end());
            visits.erase(end, visits.end());
        }
        for (const Visit& visit : visits) {
            visitors_[visit.near].push_back({static_cast<std::uint32_t>(q), visit.gap});
        }
    }
    for (std::size_t i = 0; i < near_.size(); ++i) {
        if (!visitors_[i].empty()) visit(near_[i].cell, visitors_[i]);
    }
}

std::size_t CellSearch::n_needed(const std::vector<Visit>& visits, std::size_t n_cells) const {
    std::size_t n_points = cells_.points().size(task_.cell);
    std::size_t n = 0;
    while (n < visits.size() && (n + 1 < n_cells || n_points <= 2 * k_)) {
        n_points += cells_.points().size(near_[visits[n++].near].cell);
    }
    return n;
}

void CellSearch::look_around(const Task& task) {
    begin(task, 2 * k_);
    list_visits(std::numeric_limits<double>::infinity());
}

void CellSearch::begin(const Task& task, std::size_t n_shortlist) {
    const std::size_t m = cells_.n_columns();
    task_ = task;
    n_ = task.end - task.begin;
    rows_.resize(n_ * m);
    const double* center = cells_.center(task.cell);
    squares_.assign(n_, 0.0);
    for (std::size_t q = 0; q < n_; ++q) {
        const float* row = queries_.coordinates.data() + (task.begin + q) * m;
        for (std::size_t c = 0; c < m; ++c) {
            rows_[q * m + c] = row[c] - center[c];
            squares_[q] += rows_[q * m + c] * rows_[q * m + c];
        }
    }
    if (shortlists_.size() < n_) shortlists_.resize(n_);
    for (std::size_t q = 0; q < n_; ++q) shortlists_[q].reset(n_shortlist);
    const std::size_t n_panels = panels_of(n_, multiply_.tile().n_queries);
    packed_queries_.resize(n_panels * multiply_.panel_bytes());
    std::vector<float> values(multiply_.tile().columns_of_panel(m), 0.0F);
    everyone_.clear();
    for (std::size_t q = 0; q < n_; ++q) {
        std::copy_n(rows_.begin() + static_cast<std::ptrdiff_t>(q * m), m, values.begin());
        multiply_.put(values.data(), q, packed_queries_);
        everyone_.push_back({static_cast<std::uint32_t>(q), 0});
    }
    visit(task.cell, everyone_);
    radii_.resize(n_);
    for (std::size_t q = 0; q < n_; ++q) radii_[q] = shortlists_[q].distance(k_);
}

// A query q and a point y are stored minus the centers a and b of their cells. Their squared
// distance is |a + q - b|^2 + |y|^2 - 2 (a - b) y - 2 q y. The first term depends on the visitor
// only. The next two depend on the point only; they are computed by treating a - b as an additional
// query.
void CellSearch::visit(std::uint32_t cell, const std::vector<Visitor>& visitors) {
    const std::size_t m = cells_.n_columns();
    const DotTile& tile = multiply_.tile();
    const double* own = cells_.center(task_.cell);
    const double* other = cells_.center(cell);
    std::vector<float>& shift = shift_;
    shift.assign(tile.columns_of_panel(m), 0.0F);
    for (std::size_t c = 0; c < m; ++c) shift[c] = static_cast<float>(own[c] - other[c]);
    no_numbers_.assign(tile.n_points, no_number);
    const std::size_t first_place = cells_.points().begins[cell];
    const std::size_t first_panel = cells_.first_panel(cell);
    biases_.resize(cells_.n_panels(cell) * tile.n_points);
    multiply_.place(
        visitors.size() + 1,
        [&](std::size_t i, std::size_t to, AlignedBuffer& panel) {
            if (i == 0) {
                multiply_.put(shift.data(), to, panel);
            } else {
                multiply_.copy(packed_queries_, visitors[i - 1].query, to, panel);
            }
        },
        cells_.panels(), first_panel, cells_.n_panels(cell),
        [&](std::size_t i, std::size_t panel, const float* dots) {
            float* biases = biases_.data() + panel * tile.n_points;
            if (i == 0) {
                const float* squares = cells_.squares(first_panel + panel);
                for (std::size_t p = 0; p < tile.n_points; ++p) {
                    biases[p] = squares[p] - 2 * dots[p];
                }
                return;
            }
            const auto [query, gap] = visitors[i - 1];
            Shortlist& shortlist = shortlists_[query];
            const float squares = static_cast<float>(squares_[query]) + gap;
            std::uint32_t bits = tile.within(dots, 2, no_number, shortlist.limit() - squares,
                                             biases, no_numbers_.data())
                                     .query;
            for (; bits != 0; bits &= bits - 1) {
                const auto p = static_cast<std::size_t>(std::countr_zero(bits));
                const std::size_t place = first_place + panel * tile.n_points + p;
                if (same_ && place == task_.begin + query) continue;
                shortlist.add(
                    {squares + (biases[p] - 2 * dots[p]), static_cast<std::uint32_t>(place)});
            }
        });
}

void CellSearch::list_visits(double reach) {
    const std::size_t m = cells_.n_columns();
    const DotTile& tile = precise_dot_tile();
    if (visits_.size() < n_) visits_.resize(n_);
    double longest = 0;
    double limit = 0;
    limits_.resize(n_);
    for (std::size_t q = 0; q < n_; ++q) {
        visits_[q].clear();
        limits_[q] = radii_[q] == no_limit ? no_limit : static_cast<float>(reach * radii_[q]);
        longest = std::max(longest, squares_[q]);
        limit = std::max(limit, static_cast<double>(limits_[q]));
    }
    longest = std::sqrt(longest);
    near_.clear();
    const double* own = cells_.center(task_.cell);
    for (std::uint32_t cell = 0; cell < cells_.points().n_cells(); ++cell) {
        if (cell == task_.cell || cells_.points().size(cell) == 0) continue;
        const double squares = precise_dot_tile().squared_distance(own, cells_.center(cell), m);
        // A lower bound on the gap of all queries.
        if (squares - 2 * longest * std::sqrt(squares) > limit) continue;
        near_.push_back({squares, cell});
    }
    std::sort(near_.begin(), near_.end());
    packed_.resize(near_.size(), m);
    gaps_.clear();
    std::vector<float> row(tile.columns_of_panel(m), 0.0F);
    for (std::size_t i = 0; i < near_.size(); ++i) {
        const double* other = cells_.center(near_[i].cell);
        for (std::size_t c = 0; c < m; ++c) row[c] = static_cast<float>(other[c] - own[c]);
        packed_.put(i, row.data());
        gaps_.push_back(static_cast<float>(near_[i].squares));
    }
    gaps_.resize(packed_.n_panels() * tile.n_points, no_number);
    no_numbers_.assign(tile.n_points, no_number);
    multiply_precisely_(
        n_,
        [&](std::size_t q, float* to) {
            for (std::size_t c = 0; c < m; ++c) to[c] = static_cast<float>(rows_[q * m + c]);
        },
        packed_, 0, packed_.n_panels(),
        [&](std::size_t q, std::size_t panel, const float* dots) {
            const float* squares = gaps_.data() + panel * tile.n_points;
            std::uint32_t bits =
                tile.within(dots, 2, no_number, limits_[q], squares, no_numbers_.data()).query;
            for (; bits != 0; bits &= bits - 1) {
                const auto p = static_cast<std::size_t>(std::countr_zero(bits));
                visits_[q].push_back({squares[p] - 2 * dots[p],
                                      static_cast<std::uint32_t>(panel * tile.n_points + p)});
            }
        });
}

}  // namespace labelquorum
