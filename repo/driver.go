package repo

import (
	"context"
	"database/sql/driver"
	"fmt"

	"modernc.org/sqlite"
)

// The SQLite driver loses the statement of a query whose context ends in the moment between
// its first step and its return: nobody can finish it any more, and SQLite keeps the
// connection, with its files, open until the process ends. So queries run to their first row
// without their context, which is looked at before and by database/sql after. They are short:
// what they read is a node's own rows.

// Connector opens connections to one SQLite database, for sql.OpenDB. A plain sql.Open has the
// fault that is told of above: a database that was closed may stay locked.
func Connector(dsn string) driver.Connector { return &connector{dsn: dsn} }

// connector is a Connector.
type connector struct {
	driver sqlite.Driver
	dsn    string
}

var _ driver.Connector = (*connector)(nil)

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	inner, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	full, ok := inner.(driverConn)
	if !ok { // never: it is the driver of go.mod
		return nil, fmt.Errorf("a connection of SQLite is %T", inner)
	}
	return conn{full}, nil
}

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return &c.driver }

// driverConn is what connections of the driver can do.
type driverConn interface {
	driver.Conn
	driver.Pinger
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

type conn struct{ driverConn }

// QueryContext implements driver.QueryerContext.
func (c conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.driverConn.QueryContext(context.WithoutCancel(ctx), query, args)
}

// PrepareContext implements driver.ConnPrepareContext.
func (c conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	inner, err := c.driverConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	full, ok := inner.(driverStmt)
	if !ok {
		return nil, fmt.Errorf("a statement of SQLite is %T", inner)
	}
	return stmt{full}, nil
}

// driverStmt is what statements of the driver can do.
type driverStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type stmt struct{ driverStmt }

// QueryContext implements driver.StmtQueryContext.
func (s stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.driverStmt.QueryContext(context.WithoutCancel(ctx), args)
}
